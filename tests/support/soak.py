"""Keeps a running service at full load with tokens that work and tokens that do not, while others come and go, and says whether
anything that it holds on to goes on growing. Called by tests/support/soak.sh."""

import json
import os
import random
import sqlite3
import statistics
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benches"))
from lib import load, tokens  # noqa: E402
from lib.client import Client, request  # noqa: E402

port, process, folder, checks, bad, live, warm_up = sys.argv[1:]
folder = Path(folder)
port, process, checks, bad, live, warm_up = map(int, (port, process, checks, bad, live, warm_up))

ROUNDS = max(10, checks // 100_000)
CONNECTIONS = 64
# What comes and goes beside the load: so many tokens a second that live for so many seconds, half of them revoked before, and as
# many strangers of each kind.
ISSUED_PER_SECOND = 50
LIFE = 5

# What may not grow: its unit, and by which share, and how much more, the median of the last third of the run may lie above that
# of the middle third. What is filled up once, such as a memory with a bound, is full by then. Whatever grows with the load
# lies higher by a third of all that it grew: 5 MiB on 60 MiB are one and a half bytes for each of ten million checks.
MEASURES = {
    "resident": ("MiB", 0.05, 2),
    "descriptors": ("", 0.05, 8),
    "threads": ("", 0, 1),
    "tokens remembered": ("", 0.02, 50),
    "refusals remembered": ("", 0.02, 50),
    "metric series": ("", 0, 4),
    "database": ("MiB", 0.05, 0.5),
}
failures, over = [], threading.Event()


def grows(measure, values):
    """How it breaks the rule, if it does."""
    unit, share, slack = MEASURES[measure]
    third = len(values) // 3
    middle, last = statistics.median(values[third:2 * third]), statistics.median(values[2 * third:])
    if last <= middle * (1 + share) + slack:
        return None
    return f"{measure} grows: {last:.1f} {unit} in the last third, {middle:.1f} {unit} in the one before it"


def the_rule_can_fail():
    filled = [min(number, 30) for number in range(100)]
    leaking = [50 + number / 5 for number in range(100)]
    return grows("resident", filled) is None and grows("resident", leaking) is not None


# --- What is measured.


def sample(database):
    with open(f"/proc/{process}/status") as status:
        fields = dict(line.split(":", 1) for line in status)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        series = [line for line in answer.read().decode().splitlines() if line and not line.startswith("#")]
    remembered = {line.split('"')[1]: float(line.split()[-1]) for line in series if line.startswith("daypass_check_cache_entries{")}
    return {
        "resident": int(fields["VmRSS"].split()[0]) / 1024,
        "descriptors": len(os.listdir(f"/proc/{process}/fd")),
        "threads": int(fields["Threads"]),
        "tokens remembered": remembered["tokens"],
        "refusals remembered": remembered["refusals"],
        "metric series": len(series),
        "database": database_size(database),
    }


def database_size(database):
    """The file and its log, but for the audit trail: that is kept for an hour at least, and grows with each event until then."""
    [[trail]] = database.execute("SELECT sum(pgsize) FROM dbstat WHERE name = 'audit_event' AND aggregate = TRUE").fetchall()
    files = [folder / "daypass.db", folder / "daypass.db-wal"]
    return (sum(file.stat().st_size for file in files if file.exists()) - trail) / 2**20


def keep_sampling(samples, rates):
    # The service's own file, which it may be writing to: nothing is written here.
    database = sqlite3.connect(f"file:{folder / 'daypass.db'}?mode=ro", uri=True)
    while not over.wait(min(1, checks / 400_000)):
        samples.append((len(rates), sample(database)))


# --- What comes and goes beside the load.


def come_and_go(sessions, counts):
    """Tokens that live for seconds: each is checked, half of them are revoked, and none works afterwards."""
    client, expiring = Client(port), []
    for number in paced(ISSUED_PER_SECOND):
        user, session = random.choice(sessions)
        [(status, body)] = client.ask(request("POST", "/v1/tokens", tokens.bearer(session), {"name": "soak", "ttl": LIFE}))
        expect("an issue", status, 201)
        made = json.loads(body)
        expect("the check of a new token", client.ask(tokens.check_request(made["token"]))[0][0], 200, 401)
        if number % 2 == 0:
            [(status, _)] = client.ask(request("DELETE", f"/v1/tokens/{made['id']}", tokens.bearer(session)))
            expect("a revocation", status, 204)
            expect("the check of a revoked token", client.ask(tokens.check_request(made["token"]))[0][0], 401)
        else:
            expiring.append((time.monotonic() + LIFE, made["token"]))
        while expiring and expiring[0][0] < time.monotonic():
            expect("the check of an expired token", client.ask(tokens.check_request(expiring.pop(0)[1]))[0][0], 401)
        counts["issued"] += 1


def be_strange(session, counts):
    """Names, paths, methods and headers that are new each time."""
    client = Client(port)
    for number in paced(ISSUED_PER_SECOND):
        word = "".join(random.choices(tokens.BASE62, k=20))
        lines = f"Host: {word}.example\r\nUser-Agent: {word}\r\nX-Request-Id: {word}\r\nX-Forwarded-For: 192.0.2.{number % 256}\r\n\r\n"
        answers = client.ask(
            request("POST", "/v1/login", body={"username": word, "password": word + word}),
            request("GET", f"/{word}/{word}"),
            request("GET", f"/v1/tokens/{word}", tokens.bearer(session)),
            request("GET", f"/v1/check?scope={word}", tokens.bearer(session)),
            request("POST", f"/oauth/token?{word}={word}", body=f"grant_type={word}", content_type="application/x-www-form-urlencoded"),
            f"{word.upper()} /healthz HTTP/1.1\r\n{lines}".encode(),
            f"GET /v1/check/{word} HTTP/1.1\r\nAuthorization: {word} {word}\r\n{lines}".encode(),
        )
        for what, (status, _) in zip(("login", "path", "token id", "scope", "grant", "method", "scheme"), answers):
            expect(f"a strange {what}", status, *range(400, 500))
        counts["strangers"] += len(answers)


def paced(per_second):
    due, number = time.monotonic(), 0
    while not over.wait(max(0, due - time.monotonic())):
        yield number
        # What could not be done in time is not made up for.
        due, number = max(due + 1 / per_second, time.monotonic() - 1), number + 1


def expect(what, status, *right):
    if status not in right:
        raise RuntimeError(f"{what} was answered {status}")


def beside(work, *arguments):
    def guarded():
        try:
            work(*arguments)
        except Exception as error:  # whatever it is, the run has failed
            failures.append(f"{work.__name__}: {error!r}")
            over.set()
    thread = threading.Thread(target=guarded)
    thread.start()
    return thread


# --- The load.


def requests_of(number, working):
    """The requests of a round, for wrk: tokens that work, and among them some that nobody sent before and that do not."""
    file = folder / f"round-{number % 2}"
    good, wrong = checks // ROUNDS, bad // ROUNDS
    written = [tokens.check_request(working[(number * good + at) % len(working)]) for at in range(good)]
    written += [tokens.check_request(bad_token(at, working)) for at in range(wrong)]
    random.shuffle(written)
    file.write_bytes(b"\0".join(written))
    return file


def bad_token(number, working):
    match number % 3:
        case 0:
            return tokens.unknown()
        case 1:
            return tokens.wrong_secret(random.choice(working))
        case _:
            return "dps_" + "".join(random.choices(tokens.BASE62, k=random.randint(50, 60)))


def send(file):
    result = load.wrk(port, file, CONNECTIONS, 300, once=True)
    # It does not wait for the last answers.
    total, wrong = checks // ROUNDS + bad // ROUNDS, bad // ROUNDS
    if result["broken"] or not total - CONNECTIONS <= result["requests"] <= total or not wrong - CONNECTIONS <= result["refused"] <= wrong:
        raise RuntimeError(f"of {total} checks {wrong} were to be refused: {result}")
    return result


def check_all(working, rates):
    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(requests_of, 0, working)
        for number in range(ROUNDS):
            file = coming.result()
            coming = ahead.submit(requests_of, number + 1, working)
            if over.is_set():
                return
            result = send(file)
            rates.append(result["requests"] / result["seconds"])


def table(samples, rates):
    print("| of the run | checks a second | " + " | ".join(f"{name}, {unit}" if unit else name for name, (unit, *_) in MEASURES.items()) + " |")
    print("| --- " * (len(MEASURES) + 2) + "|")
    for tenth in range(10):
        mine = [one for round_, one in samples if round_ * 10 // ROUNDS == tenth]
        cells = [f"{statistics.median(rates[tenth * ROUNDS // 10:(tenth + 1) * ROUNDS // 10]):,.0f}"]
        for name, (unit, *_) in MEASURES.items():
            # A tenth of a short run may be over before anybody looked.
            cells.append(f"{statistics.median(one[name] for one in mine):,.{1 if unit else 0}f}" if mine else "–")
        print(f"| {tenth + 1}/10 | " + " | ".join(cells) + " |")


def main():
    for _ in range(300):
        try:
            Client(port).close()
            break
        except OSError:
            time.sleep(0.1)
    sessions = list(tokens.log_in(port, tokens.make_users(port)).items())
    working = [token for _, token in tokens.issue(port, dict(sessions), live)]
    samples, rates, counts = [], [], {"issued": 0, "strangers": 0}
    others = [beside(come_and_go, sessions, counts), beside(be_strange, sessions[0][1], counts)]
    # Until the first that ended are old enough to be purged (a minute), nothing is steady.
    over.wait(warm_up)
    others.append(beside(keep_sampling, samples, rates))
    began = time.monotonic()
    try:
        check_all(working, rates)
    finally:
        over.set()
        for thread in others:
            thread.join()
    took = time.monotonic() - began
    print(f"{checks:,} checks of {live:,} tokens that work and {bad:,} of bad ones, no two alike, in {took:.0f} s; beside them "
          f"{counts['issued']:,} tokens came and went, and {counts['strangers']:,} requests of strangers.\n")
    if failures:
        return failures, 0
    table(samples, rates)
    # That every answer was right is the first.
    results = [None, None if the_rule_can_fail() else "the rule finds nothing"]
    results += [grows(name, [one[name] for _, one in samples]) for name in MEASURES]
    wrong = [result for result in results if result]
    wrong += [f"in the log: {line}" for line in (folder / "log").read_text().splitlines() if '"level":"ERROR"' in line][:3]
    return wrong, results.count(None)


wrong, passed = main()
print("", *wrong, sep="\n")
print(f"\ntest result: {'FAILED' if wrong else 'ok'}. {passed} passed; {len(wrong)} failed; at full load")
sys.exit(1 if wrong else 0)
