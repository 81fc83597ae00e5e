"""Whether docs/asvs.md and docs/security.md are whole: every test and file that they name is there, and so is every line."""

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
FAULTS = "F1 F1b F2 F3 F3b F4 F5 F5b F5c F6 F6b F6c F7 F8 F9 F10 F11 F12 F13 F14 F15 F16 F17"
# Each page with the lines that it has to have, in their order.
PAGES = {
    "docs/asvs.md": [f"{section}.{number}" for section, numbers in REQUIREMENTS.items() for number in numbers.split()],
    "docs/security.md": [
        *(f"R{number}" for number in range(1, 61)),
        *FAULTS.split(),
        *(f"B{number}" for number in range(1, 25)),
    ],
}
# Words between backquotes that look like the name of a test.
NO_TESTS = {"code_like_this", "evict_oldest"}
TEST = re.compile(r"#\[(?:tokio::)?test\b[^\n]*\n(?:\s*(?:#\[|//)[^\n]*\n)*\s*(?:async )?fn (\w+)")
# What the tests of the proxies are called.
METHOD = re.compile(r"^    def ([a-z]\w*)\(self\)", re.MULTILINE)
ROW = re.compile(r"^\| (\S+) \| [^|]* ?\| [^|]+ \| (met|in part|not met|n/a) \| (?:[^|]*[^|\s]) \|$")


def tests(root):
    """The names of all tests."""
    sources = [path for folder in ("src", "tests", "entity", "migration") for path in root.glob(f"{folder}/**/*.rs")]
    names = {name for path in sources for name in TEST.findall(path.read_text(encoding="utf-8"))}
    for path in root.glob("tests/proxies/*.py"):
        names.update(METHOD.findall(path.read_text(encoding="utf-8")))
    return names


def faults(root, page, wanted, known):
    """What is wrong with a page, and the states that it tells."""
    text = (root / page).read_text(encoding="utf-8")
    wrong = []
    for name in sorted(set(re.findall(r"`([a-z0-9]+(?:_[a-z0-9]+)+)`", text)) - NO_TESTS):
        if name not in known:
            wrong.append(f"{name} is no test")
    for file in sorted(set(re.findall(r"`([a-z]+/[a-z./_-]+)`", text))):
        if not (root / file).exists():
            wrong.append(f"{file} is not there")
    rows = [line for line in text.splitlines() if re.match(r"\| [A-Z]?\d", line)]
    wrong += [f"this is no row: {row}" for row in rows if not ROW.match(row)]
    listed = [row.split()[1] for row in rows]
    if listed != wanted:
        wrong.append(f"lines: missing {sorted(set(wanted) - set(listed))}, or too many, or out of order")
    # A line that is met names what shows it, unless ASVS asks for what there is not.
    if page == "docs/security.md":
        wrong += [f"{row.split()[1]} names no test" for row in rows if "| met |" in row and "`" not in row]
    return wrong, [found[2] for row in rows if (found := ROW.match(row))]


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    known, failed = tests(root), False
    for page, wanted in PAGES.items():
        wrong, states = faults(root, page, wanted, known)
        for line in wrong:
            print(f"{page}: {line}")
        counts = ", ".join(f"{states.count(state)} {state}" for state in ("met", "in part", "not met", "n/a"))
        print(f"{page}: {counts}")
        failed |= bool(wrong)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
