"""Rows of the result, and how they are printed."""

from statistics import median


def loaded(group, what, clients, rounds, limit=None, least_rate=None, most_cpu=None):
    """Something under load, one figure a round; beside the rounds of its limit, which were run in between."""
    row = {"group": group, "what": what, "clients": clients, "rounds": rounds}
    for key in ("per_second", "p50_ms", "p99_ms"):
        if key in rounds[0]:
            row[key] = median(one[key] for one in rounds)
    row["cpu_us"] = {name: median(one["cpu_us"][name] for one in rounds) for name in rounds[0].get("cpu_us", {})}
    if limit:
        # Not the median of each round's ratio: how wrk's connections fall on the cores differs from round to round by
        # more than anything else, and neighbours do not share it.
        row["rate_ratio"] = row["per_second"] / median(one["per_second"] for one in limit)
        if "cpu_us" in limit[0] and "cpu_us" in rounds[0]:
            row["cpu_ratio"] = row["cpu_us"]["server"] / median(one["cpu_us"]["server"] for one in limit)
    targets = []
    if most_cpu:
        targets.append((f"CPU ≤ {most_cpu} ×", row["cpu_ratio"] <= most_cpu))
    if least_rate:
        targets.append((f"rate ≥ {least_rate} ×", row["rate_ratio"] >= least_rate))
    if targets:
        row["target"] = ", ".join(text for text, _ in targets)
        row["reached"] = all(reached for _, reached in targets)
    return row


def figure(group, what, shown, target=None, reached=None, raw=None):
    """A figure of another kind."""
    return {"group": group, "what": what, "shown": shown, "target": target, "reached": reached, "raw": raw}


def left_out(group, what, why):
    return {"group": group, "what": what, "shown": f"LEFT OUT: {why}", "target": None, "reached": None}


def markdown(rows):
    under_load = [row for row in rows if "rounds" in row]
    others = [row for row in rows if "shown" in row]
    parts = []
    if under_load:
        names = ["group", "what", "clients", "per second", "p50 ms", "p99 ms", "CPU µs", "× limit, rate", "× limit, CPU"]
        parts.append(_table([*names, "target", "reached"], [_loaded_cells(row) for row in under_load]))
    if others:
        cells = [[row["group"], row["what"], row["shown"], row["target"], _answer(row)] for row in others]
        parts.append(_table(["group", "what", "figure", "target", "reached"], cells))
    return "\n\n".join(parts)


def _loaded_cells(row):
    cpu = " + ".join(f"{used:.1f}" for used in row["cpu_us"].values())
    rate = row["per_second"]
    return [
        row["group"], row["what"], row["clients"], f"{rate:,.0f}" if rate >= 1000 else f"{rate:.1f}",
        _number(row.get("p50_ms"), 3), _number(row.get("p99_ms"), 3), cpu,
        _number(row.get("rate_ratio"), 2), _number(row.get("cpu_ratio"), 2), row.get("target"), _answer(row),
    ]


def _answer(row):
    return {True: "yes", False: "NO"}.get(row.get("reached"))


def _number(value, digits):
    return None if value is None else f"{value:.{digits}f}"


def _table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join("" if cell is None else str(cell) for cell in line) + " |" for line in lines)
