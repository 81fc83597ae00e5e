"""What others take to tell whether a token works: the same machine, the same load, the same limit."""

import json
import urllib.request

from lib import load, tokens
from lib.bench import say
from lib.client import ask_many, request
from lib.servers import Daypass, Gunicorn, Limit, OidcProvider, Redis, shell
from lib.table import left_out, loaded

CLIENTS = 64
TOKENS = 1_000
# Its memory adapter keeps a thousand entries.
OIDC_TOKENS = 500


def measure(bench):
    rows, plan = [], []
    seconds, rounds = bench.choose(5, 2), bench.choose(3, 2)

    def wrk(what, server, requests, database=None):
        file = load.write_requests(bench, f"peers-{len(plan)}", requests)
        pids = {"server": server.pid} | ({"database": database.pid} if database else {})
        plan.append((what, lambda: load.run(server.port, file, CLIENTS, seconds, pids=pids)))

    def attempt(what, start):
        say(f"starting {what}")
        try:
            start()
        except (RuntimeError, OSError) as error:
            say(str(error))
            rows.append(left_out("peers", what, str(error).strip().splitlines()[-1]))

    known = [token for _, token in bench.seeded()[:TOKENS]]
    constant = Limit(bench, "peers", "constant")
    daypass = Daypass(bench, "peers", bench.copy_of_seed("peers"))
    checks = [tokens.check_request(token) for token in known]
    ask_many(daypass.port, checks, 200)
    wrk("limit: constant answer", constant, checks)
    wrk("Daypass on SQLite", daypass, checks)

    def redis():
        server = Redis(bench)
        plan.append(("Redis GET", lambda: server.get(CLIENTS, seconds)))

    attempt("Redis GET", redis)
    attempt("oidc-provider, in memory", lambda: oidc_provider(bench, wrk))
    attempt("Django on SQLite", lambda: django(bench, wrk, "SQLite", str(bench.folder / "django.db")))
    attempt("Django on PostgreSQL", lambda: django(bench, wrk, "PostgreSQL", bench.postgres.create("django"), bench.postgres))

    found = {}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for what, run in plan:
            found.setdefault(what, []).append(run())
    limit = found[plan[0][0]]
    return [
        loaded("peers", what, CLIENTS, found[what], limit if number > 0 else None) for number, (what, _) in enumerate(plan)
    ] + rows


def django(bench, wrk, name, database, server=None):
    shell("install_django >&2")
    peer = Gunicorn(bench, name, database)
    for kind, title in (("drf", "Django REST framework"), ("knox", "django-rest-knox")):
        requests = [request("GET", f"/{kind}", f"Token {token}") for token in peer.tokens[kind]]
        ask_many(peer.port, requests[:8], 200, connections=8, depth=1)
        wrk(f"{title} on {name}" + (" (CPU: + PostgreSQL)" if server else ""), peer, requests, server)


def oidc_provider(bench, wrk):
    shell("install_oidc_provider >&2")
    peer = OidcProvider(bench)
    client = "client_id=bench&client_secret=violet-lamps-hum-quietly"
    issued = []
    for _ in range(OIDC_TOKENS):
        form = f"{client}&grant_type=client_credentials".encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{peer.port}/token", form) as answer:
            issued.append(json.load(answer)["access_token"])
    form = "application/x-www-form-urlencoded"
    requests = [request("POST", "/token/introspection", None, f"{client}&token={token}", form) for token in issued]
    body = ask_many(peer.port, requests[:1], 200, connections=1)[0]
    if not json.loads(body)["active"]:
        raise RuntimeError("oidc-provider does not know its own token")
    wrk("oidc-provider, in memory", peer, requests)
