"""The servers that are measured, each on a free port and with its data in the run's folder."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from .process import Process, cpu_seconds, free_port, running
from .tokens import PASSWORD

ROOT = Path(__file__).resolve().parents[2]

# Hashing is measured by the group `login` alone; elsewhere it only takes time.
CHEAP_HASHES = {"DAYPASS_PASSWORDS__MEMORY_KIB": "8", "DAYPASS_PASSWORDS__ITERATIONS": "1"}
# Every request comes from one address.
NO_LIMITS = {"DAYPASS_LIMITS__LOGIN_PER_MINUTE_PER_IP": "0", "DAYPASS_LIMITS__LOGIN_FAILURES_BEFORE_LOCK": "0"}


def shell(script, *arguments, **options):
    """Runs what the suite has for installing packages and starting databases; returns what it prints last."""
    sourced = "set -euo pipefail; for file in report postgres; do source tests/support/$file.sh; done; source benches/peers/install.sh;"
    command = ["bash", "-c", sourced + script, "bash", *map(str, arguments)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, start_new_session=True, **options)
    if ran.returncode != 0:
        raise RuntimeError(f"{script}: {(ran.stdout + ran.stderr)[-2000:]}")
    return ran.stdout.strip().rpartition("\n")[2]


def require(program, package):
    """Makes sure of a program, by installing its package where that is possible."""
    if shutil.which(program) is None:
        shell('install_packages "$1" >&2', package)
    if shutil.which(program) is None:
        raise RuntimeError(f"there is no {program}: install the package {package}")


def own_environment(settings):
    """This environment without what would configure Daypass."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("DAYPASS_") and key != "DATABASE_URL"}
    return inherited | settings


# Each job comes once at the start, and then when it is asked for.
NO_MAINTENANCE = {
    f"DAYPASS_MAINTENANCE__{job}_SCHEDULE": "0 0 0 1 1 *"
    for job in ("PURGE", "CHANGES", "COUNTERS", "ROTATIONS", "HISTORY", "SQLITE")
}


class Daypass:
    """The service, logging every request to a file as people run it."""

    def __init__(self, bench, name, url, wait=True, **settings):
        self.port = free_port()
        folder = bench.folder / name
        folder.mkdir(exist_ok=True)  # and so no daypass.toml of somebody's is read
        environment = CHEAP_HASHES | NO_LIMITS | {
            "DATABASE_URL": url,
            "DAYPASS_ADMIN_PASSWORD": PASSWORD,
            "DAYPASS_LISTEN": f"127.0.0.1:{self.port}",
            "DAYPASS_LOG__LEVEL": "info",
        } | settings
        self.process = Process([bench.daypass, "serve"], folder / "log", own_environment(environment), folder)
        self.pid = self.process.pid
        if wait:
            self.process.await_port(self.port)

    def stop(self):
        self.process.stop()


class Limit:
    """The bare handler of limit.rs."""

    def __init__(self, bench, name, *arguments):
        self.port = free_port()
        command = [bench.limit, "serve", f"127.0.0.1:{self.port}", *arguments]
        self.process = Process(command, bench.folder / f"limit-{name}.log")
        self.pid = self.process.pid
        self.process.await_port(self.port)

    def stop(self):
        self.process.stop()


PSQL = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1"]


class Postgres:
    """A PostgreSQL server with its defaults, but for the number of connections; fsync is on."""

    def __init__(self, bench):
        self.folder = bench.folder / "postgres"
        url = shell('start_postgres "$1" "-c fsync=on -c max_connections=300" >&2; echo "$postgres_url"', self.folder)
        running.append(self)
        self.server = url.rsplit("/", 1)[0]
        self.pid = int((self.folder / "data" / "postmaster.pid").read_text().split("\n")[0])

    def query(self, text, database="postgres"):
        command = [*PSQL, "-c", text, f"{self.server}/{database}"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def script(self, text, database):
        """Many statements by one client, each a transaction of its own."""
        subprocess.run([*PSQL, "-f", "-", f"{self.server}/{database}"], input=text, check=True, capture_output=True, text=True)

    def copy_in(self, text, lines, database):
        """Carries out a COPY with these lines."""
        with subprocess.Popen([*PSQL, "-c", text, f"{self.server}/{database}"], stdin=subprocess.PIPE) as psql:
            psql.stdin.writelines(lines)
        if psql.returncode != 0:
            raise RuntimeError(f"{text} failed")

    def create(self, name, durable=True, copy_of=None):
        """A database, empty if it is no copy; one that is not durable acknowledges before the disk has it, which is quicker
        to fill."""
        self.query(f"CREATE DATABASE {name}" + (f" TEMPLATE {copy_of}" if copy_of else ""))
        if not durable:
            self.query(f"ALTER DATABASE {name} SET synchronous_commit = off")
        return f"{self.server}/{name}"

    def set(self, setting, value):
        self.query(f"ALTER SYSTEM SET {setting} = {value}")
        self.query("SELECT pg_reload_conf()")

    def stop(self):
        if self in running:
            running.remove(self)
            shell('postgres_folder=$1; stop_postgres', self.folder)


class Gunicorn:
    """Django REST framework and django-rest-knox in one project, with two workers."""

    def __init__(self, bench, name, database):
        self.port = free_port()
        peers, python = ROOT / "benches" / "peers", ROOT / "target" / "tools" / "peers-python" / "bin"
        environment = os.environ | {"PEER_DATABASE": database, "PYTHONDONTWRITEBYTECODE": "1"}
        self.tokens = {}
        for kind in ("drf", "knox"):
            command = [python / "python", peers / "django_peer.py", "seed", kind, "1000"]
            seeded = subprocess.run(command, env=environment, cwd=peers, check=True, capture_output=True, text=True)
            self.tokens[kind] = seeded.stdout.split()
        command = [python / "gunicorn", "--workers", "2", "--worker-class", "gthread", "--threads", "4", "--keep-alive", "60"]
        command += ["--bind", f"127.0.0.1:{self.port}", "django_peer:application"]
        self.process = Process(command, bench.folder / f"gunicorn-{name}.log", environment, peers)
        self.pid = self.process.pid
        self.process.await_port(self.port)


class OidcProvider:
    """npm's oidc-provider with its adapter in memory."""

    def __init__(self, bench):
        self.port = free_port()
        command = ["node", "oidc_peer.mjs", str(self.port)]
        folder = ROOT / "target" / "tools" / "peers-node"
        environment = os.environ | {"NODE_ENV": "production"}
        self.process = Process(command, bench.folder / "oidc-provider.log", environment, folder)
        self.pid = self.process.pid
        self.process.await_port(self.port)


class Redis:
    """Redis with nothing on disk, holding as many values as there are hot tokens, of a check's size."""

    VALUES = 100_000

    def __init__(self, bench):
        require("redis-server", "redis-server")
        self.port = free_port()
        command = ["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = Process(command, bench.folder / "redis.log", cwd=bench.folder)
        self.pid = self.process.pid
        self.process.await_port(self.port)
        value = "x" * 480
        keys = (f"key:{number:012}" for number in range(self.VALUES))
        sets = "".join(f"*3\r\n$3\r\nSET\r\n${len(key)}\r\n{key}\r\n$480\r\n{value}\r\n" for key in keys)
        subprocess.run(["redis-cli", "-p", str(self.port), "--pipe"], input=sets, text=True, check=True, capture_output=True)

    def get(self, connections, seconds):
        """Like load.run, by Redis's own load generator."""
        count = int(60_000 * seconds)
        command = ["redis-benchmark", "-p", self.port, "-t", "get", "-n", count, "-c", connections, "-r", self.VALUES, "--csv"]
        before = cpu_seconds(self.pid)
        ran = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)
        used = cpu_seconds(self.pid) - before
        names, figures = [json.loads(f"[{line}]") for line in ran.stdout.strip().splitlines()[-2:]]
        found = dict(zip(names, figures))
        return {
            "per_second": float(found["rps"]),
            "p50_ms": float(found["p50_latency_ms"]),
            "p99_ms": float(found["p99_latency_ms"]),
            "cpu_us": {"server": used / count * 1e6},
        }
