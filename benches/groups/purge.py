"""The purge of a large table: nine tokens of ten are stale, mixed with the live ones in the time of their making.

Alone, beside a bare DELETE; what those notice who check and issue meanwhile; and whether a table that is filled and purged
for minutes stays as small as it is.
"""

import datetime
import json
import os
import random
import shutil
import sqlite3
import subprocess
import threading
import time
import uuid
from statistics import median

from lib import load, tokens
from lib.bench import say
from lib.client import Client, ask_one, request
from lib.process import Process, resident_bytes, running
from lib.servers import NO_MAINTENANCE, Daypass, own_environment
from lib.table import figure, left_out

CLIENTS = 32
USERS = 10_000
# Made through the API, for only of these the secrets are known; all others are written straight into the table.
CHECKED = 1_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MIB = 1024 * 1024

DURABILITY = "DAYPASS_DATABASE__SQLITE_DURABILITY"

# In the steady state.
ISSUED_PER_SECOND = 1_000
LIFE_SECONDS = 60
EVERY_TEN_SECONDS = {"DAYPASS_MAINTENANCE__PURGE_SCHEDULE": "*/10 * * * * *", "DAYPASS_MAINTENANCE__RETAIN_EXPIRED": "0s"}


def measure(bench):
    rows, size = [], bench.choose(1_000_000, 500_000)
    engines = {"SQLite": Sqlite, "PostgreSQL": Postgres}
    rates = {}

    def attempt(what, part, *arguments):
        say(what)
        try:
            rows.extend(part(bench, *arguments))
        # These take half an hour: one that fails must not cost the figures of the others.
        except (RuntimeError, OSError, subprocess.CalledProcessError, sqlite3.Error) as error:
            say(str(error))
            rows.append(left_out("purge", what, str(error).strip().splitlines()[-1]))
            # What it started would share the cores with what comes next.
            for process in [one for one in running if isinstance(one, Process)]:
                process.stop()

    attempt("nobody else there", alone, size, rates)
    for title, engine in engines.items():
        attempt(f"purging while others check and issue, {title}", beside_others, engine(bench, "beside"), size)
    for title, engine in engines.items():
        attempt(f"steady state, {title}", steady, engine(bench, "steady"))
    if bench.long:
        for title, engine in engines.items():
            attempt(f"ten times as many, {title}", ten_times, engine(bench, "ten_times"), 10 * size, rates)
    return rows


# --- Nobody else there: the command line, on copies of one table, in turns.


def alone(bench, size, rates):
    sqlite, postgres = Sqlite(bench, "full_table"), Postgres(bench, "full_table")
    for database in (sqlite, postgres):
        fill(bench, database, size)[0].stop()
    rounds = bench.choose(5, 1)
    plan = {
        "SQLite": lambda: purge_copy(bench, sqlite, {DURABILITY: "full"}),
        "SQLite normal": lambda: purge_copy(bench, sqlite, {DURABILITY: "normal"}),
        "PostgreSQL": lambda: purge_copy(bench, postgres, {}),
        "bare": lambda: bare_delete(postgres),
    }
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for what, run in plan.items():
            rates.setdefault(what, []).append(run())
    for database in (sqlite, postgres):
        database.drop()

    rate = {what: median(one["per_second"] for one in found) for what, found in rates.items()}
    deleted = rates["SQLite"][0]["deleted"]

    def row(what, engine, target=None, reached=None, more=""):
        what = f"{what}, {deleted:,} stale of {size:,}"
        return figure("purge", what, f"{rate[engine]:,.0f} a second{more}", target, reached, rates[engine])

    ratio = rate["PostgreSQL"] / rate["bare"]
    return [
        row("purge on SQLite", "SQLite", "≥ 100,000 a second", rate["SQLite"] >= 100_000),
        row("purge on SQLite, sqlite_durability=normal", "SQLite normal"),
        row("limit: bare DELETE by ctid, 1,000 at a time, PostgreSQL", "bare"),
        row("purge on PostgreSQL", "PostgreSQL", "≥ 0.7 × limit", ratio >= 0.7, f", {ratio:.2f} × limit"),
    ]


def purge_copy(bench, original, settings):
    copy = original.copy("copied")
    found = purge_by_command(bench, copy, settings)
    copy.drop()
    return found


def purge_by_command(bench, database, settings):
    """`daypass purge` with its memory looked at; the rate is of the run itself, by its own record."""
    folder = bench.folder / "purge-command"
    folder.mkdir(exist_ok=True)
    log = folder / "log"
    log.unlink(missing_ok=True)
    environment = {"DATABASE_URL": database.url} | settings
    process = Process([bench.daypass, "purge", "--json"], log, own_environment(environment), folder)
    memory = [0]
    while process.popen.poll() is None:
        try:
            memory.append(resident_bytes(process.pid))
        except (RuntimeError, OSError):
            pass  # It is just ending.
        time.sleep(0.05)
    process.stop()
    if process.popen.returncode != 0:
        raise RuntimeError(f"daypass purge failed: {process.tail()}")
    run = json.loads(log.read_text())
    if run["outcome"] != "done":
        raise RuntimeError(f"the purge did not come to its end: {run}")
    deleted = run["deleted"]["expired"] + run["deleted"]["revoked"]
    seconds = (instant(run["finished_at"]) - instant(run["started_at"])).total_seconds()
    return {
        "deleted": deleted, "seconds": seconds, "per_second": deleted / seconds, "slowest_batch_ms": run["slowest_batch_ms"],
        "memory": max(memory),
    }


def instant(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def bare_delete(original):
    """What a client can do with the same batches and nothing else: a statement and a commit for each."""
    copy = original.copy("copied")
    stale = f"expires_at < {now_ms() - DAY_MS}"
    count = int(copy.query(f"SELECT count(*) FROM token WHERE {stale}"))
    # As many statements as it takes, and one that finds nothing left: psql need not look at what each of them did.
    chosen = f"SELECT ctid FROM token WHERE {stale} ORDER BY expires_at LIMIT 1000"
    delete = f"DELETE FROM token WHERE ctid = ANY(ARRAY({chosen}));\n"
    began = time.monotonic()
    copy.server.script(delete * (count // 1000 + 1), copy.name)
    seconds = time.monotonic() - began
    left = int(copy.query(f"SELECT count(*) FROM token WHERE {stale}"))
    if left:
        raise RuntimeError(f"the bare DELETE left {left} of {count} stale rows")
    copy.drop()
    return {"deleted": count, "seconds": seconds, "per_second": count / seconds}


def ten_times(bench, database, size, rates):
    server, _, _, _ = fill(bench, database, size)
    rows = [preview(server, database, size)]
    server.stop()
    found = purge_by_command(bench, database, {DURABILITY: "full"})
    database.drop()
    what = f"{found['deleted']:,} stale of {size:,}, {database.title}"
    if database.title not in rates:
        raise RuntimeError("there is no rate of the smaller table to compare with")
    rate = median(one["per_second"] for one in rates[database.title])
    memory = max(one["memory"] for one in rates[database.title])
    ratio, growth = found["per_second"] / rate, found["memory"] / memory
    return rows + [
        figure(
            "purge", f"purge, {what}, and × the rate with a tenth of them",
            f"{found['per_second']:,.0f} a second, {ratio:.2f} ×", "≥ 0.7 ×", ratio >= 0.7, found,
        ),
        figure(
            "purge", f"most memory of the purging process, with a tenth of them and with {what}",
            f"{memory / MIB:.1f}, {found['memory'] / MIB:.1f} MiB", "≤ 1.25 ×", growth <= 1.25, found,
        ),
    ]


# --- Beside others: the server, with 32 connections that check and one that issues.


def beside_others(bench, database, size):
    server, sessions, known, users = fill(bench, database, size)
    title, admin = database.title, admin_of(server)
    rows = [preview(server, database, size)]
    unhurried = for_users(server, admin, users[:40])

    checks = load.write_requests(bench, "purge", [tokens.check_request(token) for token in known])
    # A first use is written, and the next only a minute later.
    load.run(server.port, checks, CLIENTS, 60, once=True)
    time.sleep(2)

    def round_of(found, **how):
        """The same load before a purge and during it; the table is full at the beginning."""
        def window():
            one = load.run(server.port, checks, CLIENTS, 1, **how)
            server.process.cut_log()
            return one

        found["before"] += [window() for _ in range(5)]
        during, began, ended = during_purge(server, admin, window)
        found["during"] += during
        return began, ended

    def refill():
        database.insert("token", TOKEN, token_rows(users, size * 9 // 10, live=0))
        database.settle()

    rounds = bench.choose(3, 1)
    paced, waits = {"before": [], "during": []}, {"before": [], "during": []}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}: checking and issuing at a moderate rate")
        if number > 0:
            refill()
        with Issuing(server.port, [tokens.issue_request(one) for one in sessions.values()], 1, 50) as issuing:
            began, ended = round_of(paced, paced=True)
        waits["before"] += [ms for at, ms in issuing.waits if at < began]
        waits["during"] += [ms for at, ms in issuing.waits if began <= at and at + ms / 1000 <= ended]
        if number == 0:
            afterwards = for_users(server, admin, users[40:80])
    fast = {"before": [], "during": []}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}: checking as fast as it goes")
        refill()
        round_of(fast)
    server.stop()
    database.drop()

    p99 = {when: percentile(found, 0.99) for when, found in waits.items()}
    rows += [
        compared(f"p99 of a check before and during a purge, {CLIENTS} connections at a moderate rate, {title}", paced),
        figure(
            "purge", f"p99 of issuing before and during a purge, 50 a second, {title}",
            f"{p99['before']:.1f}, {p99['during']:.1f} ms", "≤ 60 ms", p99["during"] <= 60, waits,
        ),
        compared(f"p99 of a check before and during a purge, {CLIENTS} connections as fast as they can, {title}", fast, 1.5),
    ]
    return rows + [
        figure(
            "purge", f"{what} before and after a purge of {size:,}, {title}",
            f"{unhurried[what]:.1f}, {afterwards[what]:.1f} ms", None, None, [unhurried[what], afterwards[what]],
        )
        for what in unhurried
    ]


def compared(what, found, most=None):
    def both(key):
        return [median(one[key] for one in found[when]) for when in ("before", "during")]

    p99, rate = both("p99_ms"), both("per_second")
    ratio = p99[1] / p99[0]
    shown = f"{p99[0]:.2f}, {p99[1]:.2f} ms, {ratio:.2f} × ({rate[0]:,.0f}, {rate[1]:,.0f} checks a second)"
    return figure("purge", what, shown, most and f"≤ {most} ×", most and ratio <= most, found)


def during_purge(server, admin, window):
    """Purges until nothing is stale, and repeats `window` as long as that lasts.

    Returns what was found by those that were over before it, and when it began and the last of them was over.
    """
    found, began, ended, outcome = [], time.monotonic(), 0, "budget"
    while outcome == "budget":
        run = json.loads(ask_one(server.port, request("POST", "/v1/maintenance/purge", admin), 202))
        while run["finished_at"] is None:
            one = window()
            run = json.loads(ask_one(server.port, request("GET", f"/v1/maintenance/runs/{run['id']}", admin), 200))
            if run["finished_at"] is None:
                found.append(one)
                ended = time.monotonic()
        outcome = run["outcome"]
    if outcome != "done":
        raise RuntimeError(f"the purge did not come to its end: {run}")
    if not found:
        raise RuntimeError("the purge was over too soon to see anything")
    return found, began, ended


def preview(server, database, size):
    asked = [request("GET", "/v1/maintenance/preview", admin_of(server))] * 5
    took = median_ms(server, asked)
    what = f"preview of the purge with {size:,} tokens, {database.title}"
    return figure("purge", what, f"{took:.0f} ms", "< 100 ms", took < 100, took)


def for_users(server, admin, users):
    """What an administrator asks about one user: median times."""
    ids = [uuid.UUID(bytes=user) for user in users]
    lists = [request("GET", f"/v1/tokens?user={id}", admin) for id in ids]
    # Disabling somebody ends all of their tokens.
    revoke = [request("PATCH", f"/v1/users/{id}", admin, {"disabled": True}) for id in ids]
    return {
        "first page of a user's tokens": median_ms(server, lists),
        "revoking all tokens of a user": median_ms(server, revoke),
    }


def median_ms(server, requests):
    client, took = Client(server.port), []
    for one in requests:
        began = time.perf_counter()
        [(status, body)] = client.ask(one)
        took.append((time.perf_counter() - began) * 1000)
        if status != 200:
            raise RuntimeError(f"{one[:60]} was answered {status}: {body}")
    client.close()
    return median(took)


def percentile(values, share):
    if not values:
        raise RuntimeError("there is nothing to take a percentile of")
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


class Issuing:
    """Issues at a steady rate in the background; `waits` tells when each was asked for and how many ms it took.

    The times between two are random, so that they do not fall into the purge's rhythm. Whoever is late goes on at once.
    """

    def __init__(self, port, requests, connections, per_second):
        self.port, self.requests, self.pause = port, requests, connections / per_second
        self.waits, self.failures, self.over = [], [], threading.Event()
        self.threads = [threading.Thread(target=self._work, args=(number,)) for number in range(connections)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()
        if self.failures and kind is None:
            raise self.failures[0]

    def _work(self, number):
        try:
            client, due = Client(self.port), time.monotonic()
            while not self.over.wait(max(0, due - time.monotonic())):
                one, number = self.requests[number % len(self.requests)], number + 1
                began = time.monotonic()
                [(status, body)] = client.ask(one)
                if status != 201:
                    raise RuntimeError(f"issuing was answered {status}: {body.decode(errors='replace')}")
                self.waits.append((began, (time.monotonic() - began) * 1000))
                due += random.uniform(0, 2) * self.pause
            client.close()
        except (OSError, RuntimeError) as error:
            self.failures.append(error)


# --- The steady state: as many come as go.


def steady(bench, database):
    server = Daypass(bench, f"steady-{database.title}", database.url, **EVERY_TEN_SECONDS)
    admin = admin_of(server)
    sessions = tokens.log_in(server.port, tokens.make_users(server.port))
    wanted = {"name": "bench", "ttl": LIFE_SECONDS}
    requests = [request("POST", "/v1/tokens", tokens.bearer(session), wanted) for session in sessions.values()]
    third, thirds = bench.choose(600, 60) / 3, []
    with Issuing(server.port, requests, CLIENTS, ISSUED_PER_SECOND) as issuing:
        # Until the first have expired and gone there is nothing steady.
        time.sleep(LIFE_SECONDS + 20)
        began, before = time.monotonic(), len(issuing.waits)
        for number in range(3):
            backlog, size, trail = [], [], []
            while time.monotonic() < began + third * (number + 1):
                # The backlog grows for ten seconds and is gone; what is looked at is the most.
                found = json.loads(ask_one(server.port, request("GET", "/v1/maintenance", admin), 200))
                backlog.append(found["backlog"])
                # Telling what is in a file takes reading it: seldom.
                if len(backlog) % 20 == 1:
                    trail.append(database.size_of("audit_event"))
                    size.append(database.size() - trail[-1])
                time.sleep(0.25)
            thirds.append({"backlog": max(backlog), "mib": max(size) / MIB, "trail": max(trail) / MIB})
            server.process.cut_log()
        issued = (len(issuing.waits) - before) / (time.monotonic() - began)
    server.stop()
    database.drop()

    def course(what, key, unit, shown):
        flat = thirds[2][key] <= 1.1 * thirds[1][key]
        values = ", ".join(shown.format(one[key]) for one in thirds) + unit
        return figure("purge", f"steady state, {what} in each third, {title}", values, "last ≤ 1.1 ×", flat, thirds)

    title = f"{third * 3 / 60:.0f} min, {database.title}"
    trails = ", ".join(f"{one['trail']:.1f}" for one in thirds) + " MiB"
    enough = issued >= 0.98 * ISSUED_PER_SECOND
    return [
        figure("purge", f"steady state, issued a second, {title}", f"{issued:,.0f}", f"{ISSUED_PER_SECOND:,}", enough, issued),
        course("most stale tokens", "backlog", "", "{:,}"),
        course("most disk space but for the audit trail", "mib", " MiB", "{:.1f}"),
        # It is kept for an hour at least, so it grows for as long as this lasts.
        figure("purge", f"steady state, audit trail after each third, {title}", trails, raw=thirds),
    ]


# --- The table.


def fill(bench, database, total):
    """A server whose table holds so many tokens; with sessions, tokens to check, and the users of all other tokens."""
    say(f"filling {database.title} with {total:,} tokens")
    server = Daypass(bench, f"{database.name}-{database.title}", database.url, **NO_MAINTENANCE)
    sessions = tokens.log_in(server.port, tokens.make_users(server.port))
    await_start_run(server)
    known = [token for _, token in tokens.issue(server.port, sessions, CHECKED)]
    made_at = now_ms() - 91 * DAY_MS
    users = [uuid7(made_at) for _ in range(USERS)]
    names = [f"filled{number}" for number in range(USERS)]
    accounts = ((user, name, name, "orders:read", 0, made_at, made_at) for user, name in zip(users, names))
    database.insert("account", ACCOUNT, accounts)
    database.insert("token", TOKEN, token_rows(users, total - CHECKED))
    database.settle()
    return server, sessions, known, users


def await_start_run(server):
    """Else the purge at the start would take what it finds."""
    admin, end = admin_of(server), time.monotonic() + 30
    while time.monotonic() < end:
        runs = json.loads(ask_one(server.port, request("GET", "/v1/maintenance/runs", admin), 200))["items"]
        if any(run["job"] == "purge" and run["finished_at"] for run in runs):
            return
        time.sleep(0.1)
    raise RuntimeError("there was no purge at the start")


def admin_of(server):
    [session] = tokens.log_in(server.port, ["admin"]).values()
    return tokens.bearer(session)


ACCOUNT = ["id", "username", "canonical_name", "scopes", "epoch", "created_at", "changed_at"]
TOKEN = [
    "id", "kind", "digest_algorithm", "digest", "hint", "name", "user_id", "scopes", "ttl", "created_at", "expires_at",
    "ttl_expires_at", "max_expires_at", "changed_at",
]


def token_rows(users, total, live=0.1):
    """Made one after the other over 90 days until 26 hours ago, of a random user, and each by chance live or stale.

    A live one has up to 60 days left. A stale one lived as long as tokens do by default (a session ten hours, a client's an
    hour), or, one of five, was renewed until it was up to two days old; and its end has been past for a day.
    """
    now = now_ms()
    first, last, stale = now - 90 * DAY_MS, now - 26 * HOUR_MS, now - 25 * HOUR_MS
    for number in range(total):
        made_at = first + (last - first) * number // total
        if random.random() < live:
            ends_at = now + HOUR_MS + int(random.random() * 60 * DAY_MS)
        else:
            hours = random.choice([10, 10, 10, 1, random.uniform(10, 48)])
            ends_at = min(made_at + int(HOUR_MS * hours), stale)
        user = users[int(random.random() * len(users))]
        yield (
            uuid7(made_at), "k", 1, random.randbytes(32), "lcD6", "bench", user, "orders:read",
            (ends_at - made_at) // 1000, made_at, ends_at, ends_at, made_at + 365 * DAY_MS, made_at,
        )


def uuid7(millis):
    return (millis << 80 | 7 << 76 | random.getrandbits(12) << 64 | 2 << 62 | random.getrandbits(62)).to_bytes(16, "big")


def now_ms():
    return int(time.time() * 1000)


def settle_disk():
    """What was written before must not wait for the disk together with what is measured."""
    os.sync()


class Sqlite:
    title = "SQLite"

    def __init__(self, bench, name):
        self.bench, self.name = bench, name
        self.file = bench.folder / f"{name}.db"
        self.url = f"sqlite://{self.file}"

    def insert(self, table, columns, rows):
        database = sqlite3.connect(self.file, timeout=60)
        # What is being filled need not be durable yet.
        database.executescript("PRAGMA synchronous = off; PRAGMA cache_size = -500000;")
        places = ", ".join("?" * len(columns))
        database.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", rows)
        database.commit()
        database.close()

    def settle(self):
        database = sqlite3.connect(self.file, timeout=60)
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()
        settle_disk()

    def copy(self, name):
        copy = Sqlite(self.bench, name)
        for own, new in zip(self._files(), copy._files()):
            if own.exists():
                shutil.copy(own, new)
        settle_disk()
        return copy

    def size(self):
        return sum(file.stat().st_size for file in self._files()[:2] if file.exists())

    def size_of(self, table):
        """Without its indexes: the table that is asked for has none."""
        database = sqlite3.connect(f"file:{self.file}?mode=ro", uri=True, timeout=60)
        [[size]] = database.execute("SELECT pgsize FROM dbstat WHERE name = ? AND aggregate = TRUE", [table])
        database.close()
        return size

    def drop(self):
        for file in self._files():
            file.unlink(missing_ok=True)

    def _files(self):
        return [self.file.with_name(self.file.name + end) for end in ("", "-wal", "-shm")]


class Postgres:
    title = "PostgreSQL"

    def __init__(self, bench, name, copy_of=None):
        self.bench, self.name, self.server = bench, name, bench.postgres
        self.url = self.server.create(name, copy_of=copy_of)

    def query(self, text):
        return self.server.query(text, self.name)

    def insert(self, table, columns, rows):
        lines = ("\t".join(map(copied, row)).encode() + b"\n" for row in rows)
        self.server.copy_in(f"COPY {table} ({', '.join(columns)}) FROM STDIN", lines, self.name)

    def settle(self):
        self.query("VACUUM ANALYZE")
        self.query("CHECKPOINT")
        settle_disk()

    def copy(self, name):
        copy = Postgres(self.bench, name, copy_of=self.name)
        copy.settle()
        return copy

    def size(self):
        return int(self.query(f"SELECT pg_database_size('{self.name}')"))

    def size_of(self, table):
        return int(self.query(f"SELECT pg_total_relation_size('{table}')"))

    def drop(self):
        self.server.query(f"DROP DATABASE {self.name} WITH (FORCE)")


def copied(value):
    """A value as COPY wants it: a UUID, a digest, or something plain."""
    if isinstance(value, bytes):
        return value.hex() if len(value) == 16 else "\\\\x" + value.hex()
    return str(value)
