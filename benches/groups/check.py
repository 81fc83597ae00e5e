"""GET /v1/check, beside a handler that does nothing and one that looks a token up in memory."""

import time

from lib import load, tokens
from lib.bench import say
from lib.client import ask_many
from lib.servers import Daypass, Limit
from lib.table import loaded

FEW = 1_000
# In seconds: what the service takes for one when it notes uses, and a little more.
MINUTE = 62
OFF = {"DAYPASS_CHECK__MAX_STALENESS": "0s"}


def measure(bench):
    known = [token for _, token in bench.seeded()[:bench.hot]]
    requests = [tokens.check_request(token) for token in known]
    token_file = bench.folder / "tokens"
    token_file.write_text("\n".join(known))

    def file(name, requests):
        return load.write_requests(bench, f"check-{name}", requests)

    few, many = file("few", requests[:FEW]), file("many", requests)
    unknown = file("unknown", [tokens.check_request(tokens.unknown())])
    wrong = file("wrong", [tokens.check_request(tokens.wrong_secret(known[0]))])
    malformed = file("malformed", [tokens.check_request("dpk_" + "x" * 60)])

    constant, headers = Limit(bench, "constant", "constant"), Limit(bench, "headers", "headers")
    map_ = Limit(bench, "map", "map", token_file)
    hot = Daypass(bench, "hot", bench.copy_of_seed("hot"))
    cold = Daypass(bench, "cold", bench.copy_of_seed("cold"), **OFF)
    postgres = bench.postgres
    cold_postgres = Daypass(bench, "cold-postgres", postgres.create("cold", durable=False), **OFF)
    sessions = tokens.log_in(cold_postgres.port, tokens.make_users(cold_postgres.port))
    issued = tokens.issue(cold_postgres.port, sessions, FEW)
    few_postgres = file("few-postgres", [tokens.check_request(token) for _, token in issued])

    # (what, server, file, whether refused, the most CPU, the least rate at 64 clients)
    plan = [
        ("limit: constant answer", constant, many, False, None, None),
        ("limit: constant answer with a check's headers", headers, many, False, None, None),
        ("limit: map look-up", map_, many, False, None, None),
        (f"hot, {FEW:,} tokens", hot, few, False, 1.3, 0.8),
        (f"hot, {bench.hot:,} tokens", hot, many, False, 1.3, 0.8),
        ("unknown token, repeated", hot, unknown, True, 1.6, None),
        ("wrong secret, repeated", hot, wrong, True, 1.6, None),
        ("malformed token", hot, malformed, True, 1.6, None),
        ("cold on SQLite", cold, few, False, 8, None),
        ("cold on PostgreSQL (CPU: + PostgreSQL)", cold_postgres, few_postgres, False, None, None),
    ]
    say("warming")
    ask_many(hot.port, requests, 200)
    noted_at = time.monotonic()
    ask_many(cold.port, requests[:FEW], 200)

    seconds, rounds = 1, bench.choose(9, 5)
    found = {}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        if number > 0:
            noted_at = note_uses(hot, many, noted_at)
        for clients in (1, 64):
            for what, server, requests_file, refused, _, _ in plan:
                pids = {"server": server.pid} | ({"database": postgres.pid} if server is cold_postgres else {})
                one = load.run(server.port, requests_file, clients, seconds, refused=refused, pids=pids)
                found.setdefault((clients, what), []).append(one)
                server.process.cut_log()
    for server in (constant, headers, map_, hot, cold, cold_postgres):
        server.stop()
    return [
        loaded(
            "check", what, clients, found[clients, what], found[clients, plan[0][0]] if server is not constant else None,
            least_rate=least_rate if clients > 1 else None, most_cpu=most_cpu,
        )
        for clients in (1, 64)
        for what, server, _, _, most_cpu, least_rate in plan
    ]


def note_uses(server, requests_file, noted_at):
    """Checks every token once when a use of each is due to be noted, and waits until that is written; returns when that was.

    A use is noted once a minute. In traffic that goes on at this rate one check in some 36 has one to note; where they
    fell due within a round, it would be every first one of a token.
    """
    time.sleep(max(0, noted_at + MINUTE - time.monotonic()))
    load.run(server.port, requests_file, 64, 60, once=True)
    noted_at = time.monotonic()
    time.sleep(2)
    return noted_at
