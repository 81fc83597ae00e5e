"""Whether docs/asvs.md is whole: every test and file that it names is there, and so is every requirement."""

import pathlib
import re
import sys

# The requirements of levels 1 and 2, as version 5.0.0 numbers them: how many there are in each section, but for those of level 3.
REQUIREMENTS = {
    "6.1": "1 2 3", "6.2": "1 2 3 4 5 6 7 8 9 10 11 12", "6.3": "1 2 3 4", "6.4": "1 2 3 4", "6.5": "1 2 3 4 5",
    "6.6": "1 2 3", "6.8": "1 2 3 4",
    "7.1": "1 2 3", "7.2": "1 2 3 4", "7.3": "1 2", "7.4": "1 2 3 4 5", "7.5": "1 2", "7.6": "1 2",
    "8.1": "1 2", "8.2": "1 2 3", "8.3": "1", "8.4": "1",
    "9.1": "1 2 3", "9.2": "1 2 3 4",
    "10.1": "1 2", "10.2": "1 2", "10.3": "1 2 3 4", "10.4": "1 2 3 4 5 6 7 8 9 10 11", "10.5": "1 2 3 4 5", "10.6": "1 2",
    "10.7": "1 2 3",
}  # fmt: skip
TEST = re.compile(r"#\[(?:tokio::)?test\b[^\n]*\n(?:\s*(?:#\[|//)[^\n]*\n)*\s*(?:async )?fn (\w+)")
ROW = re.compile(r"^\| (\d+\.\d+\.\d+) \| [12] \| [^|]+ \| (met|in part|not met|n/a) \| (?:[^|]*[^|\s]) \|$")


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    page = (root / "docs/asvs.md").read_text(encoding="utf-8")
    sources = [path for folder in ("src", "tests", "entity", "migration") for path in root.glob(f"{folder}/**/*.rs")]
    tests = {name for path in sources for name in TEST.findall(path.read_text(encoding="utf-8"))}
    wrong = []
    for name in sorted(set(re.findall(r"`([a-z0-9]+(?:_[a-z0-9]+)+)`", page)) - {"code_like_this", "evict_oldest"}):
        if name not in tests:
            wrong.append(f"{name} is no test")
    for file in sorted(set(re.findall(r"`([a-z]+/[a-z./_-]+)`", page))):
        if not (root / file).exists():
            wrong.append(f"{file} is not there")
    rows = [line for line in page.splitlines() if re.match(r"\| \d", line)]
    wrong += [f"this is no row: {row}" for row in rows if not ROW.match(row)]
    listed = [row.split()[1] for row in rows]
    wanted = [f"{section}.{number}" for section, numbers in REQUIREMENTS.items() for number in numbers.split()]
    if listed != wanted:
        wrong.append(f"requirements: missing {sorted(set(wanted) - set(listed))}, or too many, or out of order")
    for line in wrong:
        print(f"docs/asvs.md: {line}")
    states = [found[2] for row in rows if (found := ROW.match(row))]
    print(", ".join(f"{states.count(state)} {state}" for state in ("met", "in part", "not met", "n/a")))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
