"""Issuing and revoking by the sessions of 64 users at once, with each database's full durability.

Beside each, what the same database takes of the same rows when nothing else is done: on SQLite 64 to a commit, on
PostgreSQL from 64 connections.
"""

import sqlite3

from lib import load, tokens
from lib.bench import say
from lib.client import request
from lib.servers import Daypass
from lib.table import loaded

CLIENTS = 64


def measure(bench):
    seconds, rounds = bench.choose(4, 2), bench.choose(5, 2)
    engines = {"SQLite": on_sqlite(bench), "PostgreSQL": on_postgres(bench)}
    found = {}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for engine, (server, sessions, raw, unrevoked, pids) in engines.items():
            issue = load.write_requests(bench, "issue", [tokens.issue_request(one) for one in sessions.values()])
            # Revoking uses tokens up: what was issued in the round before it, in half the time and twice as many.
            found.setdefault((engine, "raw"), []).append(raw(number, seconds))
            found.setdefault((engine, "issue"), []).append(load.run(server.port, issue, CLIENTS, seconds, pids=pids))
            load.run(server.port, issue, CLIENTS, seconds // 2)
            ids = unrevoked()
            requests = [request("DELETE", f"/v1/tokens/{id}", tokens.bearer(sessions[user])) for id, user in ids]
            revoke = load.write_requests(bench, "revoke", requests)
            one = load.run(server.port, revoke, CLIENTS, seconds // 2, once=True, pids=pids)
            found.setdefault((engine, "revoke"), []).append(one)
            server.process.cut_log()
    rows = []
    for engine, (server, *_) in engines.items():
        server.stop()
        also = " (CPU: + PostgreSQL)" if engine == "PostgreSQL" else ""
        raw = found[engine, "raw"]
        rows.append(loaded("issue", f"limit: inserts into {engine}", CLIENTS, raw))
        rows.append(loaded("issue", f"issue on {engine}{also}", CLIENTS, found[engine, "issue"], raw, least_rate=0.5))
        rows.append(loaded("issue", f"revoke on {engine}{also}", CLIENTS, found[engine, "revoke"], raw))
    return rows


def on_sqlite(bench):
    file = bench.folder / "issue.db"
    server = Daypass(bench, "issue-sqlite", f"sqlite://{file}")

    def raw(number, seconds):
        return bench.limit_rate("sqlite", bench.folder / f"raw-{number}.db", seconds)

    def unrevoked():
        database = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
        rows = database.execute("SELECT hex(id), hex(user_id) FROM token WHERE kind = 'k' AND revoked_at IS NULL")
        found = [(dashed(id), dashed(user)) for id, user in rows]
        database.close()
        return found

    return server, session_of_each(server), raw, unrevoked, {"server": server.pid}


def on_postgres(bench):
    server = Daypass(bench, "issue-postgres", bench.postgres.create("issue"))

    def raw(number, seconds):
        rate = bench.limit_rate("postgres", bench.postgres.create(f"raw_{number}"), seconds)
        bench.postgres.query(f"DROP DATABASE raw_{number}")
        return rate

    def unrevoked():
        text = "SELECT id, user_id FROM token WHERE kind = 'k' AND revoked_at IS NULL"
        return [line.split("|") for line in bench.postgres.query(text, "issue").splitlines()]

    return server, session_of_each(server), raw, unrevoked, {"server": server.pid, "database": bench.postgres.pid}


def session_of_each(server):
    return tokens.log_in(server.port, tokens.make_users(server.port))


def dashed(digits):
    digits = digits.lower()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
