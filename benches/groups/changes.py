"""What keeping memory fresh asks of the database: on PostgreSQL, by its own count of transactions.

While nobody asks anything, with few and with many tokens in memory; and for each thousand checks of a kind that must not
reach the database at all. Then the CPU that looking takes, with an empty window and a full one.
"""

import time

from lib import load, tokens
from lib.bench import say
from lib.client import ask_many
from lib.process import cpu_seconds
from lib.servers import NO_MAINTENANCE, Daypass
from lib.table import figure

FEW = 10
# What is written behind is then written soon, and neither that nor maintenance while it is counted.
SETTINGS = {"DAYPASS_CHECK__LAST_USED_PRECISION": "1s"} | NO_MAINTENANCE

# A session of PostgreSQL reports what it did when it has rested so long, in seconds.
REPORTED = 15
# The uses of many tokens are written after they were checked; that takes so long.
WRITTEN = 30


def measure(bench):
    # Its transactions would be counted too, and there are more the more tokens there are.
    bench.postgres.set("autovacuum", "off")
    try:
        return count(bench)
    finally:
        bench.postgres.set("autovacuum", "on")


def count(bench):
    postgres, seconds = bench.postgres, bench.choose(30, 12)
    url = postgres.create("changes", durable=False)
    server = Daypass(bench, "changes", url, **SETTINGS)
    say(f"issuing {bench.hot:,} tokens")
    sessions = tokens.log_in(server.port, tokens.make_users(server.port))
    requests = [tokens.check_request(token) for _, token in tokens.issue(server.port, sessions, bench.hot)]
    server.stop()

    idle = {}
    for hot in (FEW, bench.hot):
        say(f"counting with {hot:,} tokens in memory")
        server = Daypass(bench, "changes", url, **SETTINGS)
        ask_many(server.port, requests[:hot], 200)
        time.sleep(WRITTEN + REPORTED)
        began, before = time.monotonic(), transactions(postgres)
        time.sleep(seconds)
        idle[hot] = (transactions(postgres) - before) / (time.monotonic() - began)
        if hot == FEW:
            server.stop()

    kinds = {
        "hot": (requests[:1000], False),
        "unknown token": ([tokens.check_request(tokens.unknown())], True),
        "wrong secret": ([wrong_secret_of(requests[0])], True),
        "malformed token": ([tokens.check_request("dpk_" + "x" * 60)], True),
    }
    reads = {}
    for kind, (requests_of_kind, refused) in kinds.items():
        file = load.write_requests(bench, "changes", requests_of_kind)
        began, before = time.monotonic(), transactions(postgres)
        one = load.run(server.port, file, 64, bench.choose(5, 3), refused=refused)
        time.sleep(REPORTED)
        beyond_idle = transactions(postgres) - before - idle[bench.hot] * (time.monotonic() - began)
        reads[kind] = max(0, beyond_idle) / one["requests"] * 1000

    say("looking back over 75,000 changes")
    quiet = cpu_share(server, postgres)
    postgres.query(BUSY, "changes")
    time.sleep(2)
    busy = cpu_share(server, postgres)
    server.stop()

    same = abs(idle[bench.hot] - idle[FEW]) <= max(0.3, 0.1 * idle[FEW])
    rows = [
        figure("changes", f"look-ups per second, idle, {FEW} tokens in memory", f"{idle[FEW]:.1f}", None, None, idle[FEW]),
        figure("changes", f"look-ups per second, idle, {bench.hot:,} tokens in memory", f"{idle[bench.hot]:.1f}", "the same", same, idle[bench.hot]),
    ]
    rows.append(figure(
        "changes", "CPU for looking, of one core, service + PostgreSQL: empty window, window of 75,000 changes",
        f"{quiet:.1f} %, {busy:.1f} %", None, None, [quiet, busy],
    ))
    # A handful belongs to the count itself and to uses that are written behind.
    return rows + [
        figure("changes", f"database transactions per 1,000 checks, {kind}", f"{read:.1f}", "none but the first", read < 1, read)
        for kind, read in reads.items()
    ]


# What a thousand changes a second leave in the window (75 s) that each look counts.
BUSY = """
    INSERT INTO change (second, id, token_id)
    SELECT CAST(EXTRACT(EPOCH FROM now()) AS BIGINT) - 60 + number / 1000, gen_random_uuid(), gen_random_uuid()
    FROM generate_series(0, 74999) AS number"""


def cpu_share(server, postgres, seconds=6):
    before = cpu_seconds(server.pid) + cpu_seconds(postgres.pid)
    time.sleep(seconds)
    return (cpu_seconds(server.pid) + cpu_seconds(postgres.pid) - before) / seconds * 100


def transactions(postgres):
    return int(postgres.query("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'changes'"))


def wrong_secret_of(request):
    token = request.split(b"Bearer ")[1].split(b"\r\n")[0].decode()
    return tokens.check_request(tokens.wrong_secret(token))
