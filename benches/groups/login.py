"""POST /v1/login at the default cost of a hash, beside that hash alone on every core."""

from lib import load, tokens
from lib.bench import say
from lib.servers import Daypass
from lib.table import loaded

CLIENTS = 16
DEFAULT_HASHES = {"DAYPASS_PASSWORDS__MEMORY_KIB": "19456", "DAYPASS_PASSWORDS__ITERATIONS": "2"}


def measure(bench):
    seconds, rounds = bench.choose(5, 3), bench.choose(5, 2)
    server = Daypass(bench, "login", f"sqlite://{bench.folder}/login.db", **DEFAULT_HASHES)
    requests = [tokens.login_request(name) for name in tokens.make_users(server.port)]
    file = load.write_requests(bench, "login", requests)
    raw, logins = [], []
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        raw.append(bench.limit_rate("argon2", seconds))
        logins.append(load.run(server.port, file, CLIENTS, seconds, pids={"server": server.pid}))
    server.stop()
    return [
        loaded("login", "limit: argon2 on every core", None, raw),
        loaded("login", "login", CLIENTS, logins, raw, least_rate=0.9),
    ]
