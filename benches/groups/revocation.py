"""How late another replica notices a revocation: two processes on one PostgreSQL.

The token is in the other's memory; the time is from the acknowledgement on one to the first refusal by the other.
"""

import random
import time
from statistics import median

from lib import tokens
from lib.bench import say
from lib.client import Client, ask_many, request
from lib.servers import Daypass
from lib.table import figure

POLL = 0.002
# The default of check.max_staleness.
PROMISED_MS = 1000


def measure(bench):
    samples = bench.choose(200, 50)
    url = bench.postgres.create("revocation", durable=False)
    here = Daypass(bench, "revocation-here", url)
    there = Daypass(bench, "revocation-there", url)
    sessions = tokens.log_in(here.port, tokens.make_users(here.port))
    session = next(iter(sessions.values()))
    issued = tokens.issue(here.port, {"one": session}, samples)
    ask_many(there.port, [tokens.check_request(token) for _, token in issued], 200)

    say(f"revoking {samples} tokens")
    revoker, checker = Client(here.port), Client(there.port)
    late = []
    for id, token in issued:
        # The look-ups have a rhythm; the revocations must not fall into it.
        time.sleep(random.uniform(0, 0.3))
        check = tokens.check_request(token)
        if checker.ask(check)[0][0] != 200:
            raise RuntimeError("a token did not work before it was revoked")
        [(status, body)] = revoker.ask(request("DELETE", f"/v1/tokens/{id}", tokens.bearer(session)))
        if status != 204:
            raise RuntimeError(f"revoking was answered {status}: {body}")
        late.append(time_to_refusal(checker, check))
    for server in (here, there):
        server.stop()

    late.sort()
    p99 = late[int(len(late) * 0.99) - 1]
    rows = [("p50", median(late), None), ("p99", p99, 300), ("max", late[-1], PROMISED_MS)]
    return [
        figure("revocation", f"revocation seen on another replica, {name}", f"{value:.0f} ms",
               most and f"< {most} ms", most and value < most, late if name == "max" else None)
        for name, value, most in rows
    ]


def time_to_refusal(checker, check):
    began = time.perf_counter()
    while time.perf_counter() - began < 60:
        [(status, _)] = checker.ask(check)
        if status == 401:
            return (time.perf_counter() - began) * 1000
        time.sleep(POLL)
    raise RuntimeError("a revocation was not seen within a minute")
