"""Two replicas behind HAProxy, with deploy/haproxy.cfg as it stands, restarted in turn while requests go on.

python3 tests/proxies/rolling.py FOLDER, with DAYPASS and HAPROXY (programs) and DATABASE (a URL) in the environment.
"""

import contextlib
import csv
import http.client
import io
import os
import re
import signal
import socket
import sys
import threading
import time

from client import bearer, call, request, request_on
from main import DEPLOY, Checks
from people import PASSWORD
from servers import Servers, free_port, nobody

RESTARTS = 10
CLIENTS = 24
# Between two requests of a client, so that they do not all wait for one another.
PAUSE = 0.005
# For a process to end, beside the delay that is announced: nothing here takes as long.
TO_END = 10
# What is configured where nothing is said.
SHUTDOWN_DELAY = 2


def until(holds, what, patience=20):
    began = time.monotonic()
    while not (result := holds()):
        assert time.monotonic() - began < patience, f"it never came: {what}"
        time.sleep(0.02)
    return result


class Replica:
    """One Daypass, which is started again on the same port."""

    def __init__(self, servers, name, more=()):
        self.servers, self.name, self.port = servers, name, free_port()
        self.settings = {
            "DAYPASS_DATABASE_URL": os.environ["DATABASE"],
            "DAYPASS_LISTEN": f"127.0.0.1:{self.port}",
            "DAYPASS_TRUSTED_PROXIES": "127.0.0.1/32",
            "DAYPASS_ADMIN_PASSWORD": PASSWORD,
            **dict(more),
        }
        self.start()

    def start(self):
        command = [os.environ["DAYPASS"], "serve"]
        self.servers.launch(self.name, command, self.port, self.settings, cwd=self.servers.folder)
        self.process = self.servers.processes[-1]

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def ended(self):
        assert self.process.wait(SHUTDOWN_DELAY + TO_END) == 0, f"it ended with {self.process.returncode}"

    def ready(self):
        return request(self.port, "/readyz")


class HAProxy:
    """It runs with deploy/haproxy.cfg, of which only ports are changed, and a second file: a socket to ask it."""

    def __init__(self, servers, replicas):
        self.home = os.path.join(servers.folder, "haproxy")
        os.mkdir(self.home)
        self.port = free_port()
        ports = {"8080": self.port, "8000": replicas[0].port, "8001": replicas[1].port}
        with open(os.path.join(DEPLOY, "haproxy.cfg"), encoding="utf-8") as source:
            text = re.sub(r"\b(8080|8000|8001)\b", lambda found: str(ports[found[0]]), source.read())
        self.write("haproxy.cfg", text)
        self.write("socket.cfg", f"global\n\tstats socket {self.home}/socket mode 600\n")
        files = [f"{self.home}/haproxy.cfg", f"{self.home}/socket.cfg"]
        command = [os.environ["HAPROXY"], "-db", "-f", files[0], "-f", files[1]]
        servers.launch("haproxy", command, self.port, cwd=self.home, **nobody(self.home))

    def write(self, name, text):
        with open(os.path.join(self.home, name), "w", encoding="utf-8") as target:
            target.write(text)

    def servers(self):
        """What it knows of each replica, by its name in the file."""
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(f"{self.home}/socket")
            asking.sendall(b"show stat\n")
            told = b"".join(iter(lambda: asking.recv(65536), b"")).decode()
        rows = csv.DictReader(io.StringIO(told.removeprefix("# ")))
        return {row["svname"]: row for row in rows if row["pxname"] == "replicas"}

    def is_up(self, name):
        return self.servers()[name]["status"] == "UP"


class Load:
    """Clients that ask without end, each over one connection. What was not answered as it should be is kept."""

    def __init__(self, port, people, kinds):
        self.port, self.people, self.kinds = port, people, kinds
        self.done, self.failed, self.slowest = {kind: 0 for kind in kinds}, [], 0.0
        self.stopping, self.lock = threading.Event(), threading.Lock()
        self.threads = [threading.Thread(target=self.client, args=(start,)) for start in range(CLIENTS)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def client(self, turn):
        connection, kept = None, None
        while not self.stopping.wait(PAUSE):
            kind = self.kinds[turn % len(self.kinds)]
            turn += 1
            began = time.monotonic()
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
                    connection.connect()
                    kept = connection.sock
                getattr(self, kind)(connection)
                assert connection.sock is kept, "the connection was closed"
            except Exception as error:
                connection = None
                self.note(kind, began, f"{kind}: {error!r}")
            else:
                self.note(kind, began, None)

    def note(self, kind, began, failure):
        now = time.monotonic()
        with self.lock:
            self.done[kind] += 1
            self.slowest = max(self.slowest, now - began)
            if failure:
                self.failed.append((began, failure))

    def total(self):
        with self.lock:
            return sum(self.done.values())

    def check(self, connection):
        answer = request_on(connection, "/v1/check", bearer(self.people.token))
        assert answer.status == 200 and answer.header("remote-user") == ["alice"], f"{answer.status} {answer.body!r}"

    def check_revoked(self, connection):
        answer = request_on(connection, "/v1/check", bearer(self.people.revoked))
        assert answer.status == 401, f"{answer.status} {answer.body!r}"

    def issue(self, connection):
        headers = [("Content-Type", "application/json"), *bearer(self.people.session)]
        answer = request_on(connection, "/v1/tokens", headers, "POST", b'{"ttl": 600}')
        assert answer.status == 201, f"{answer.status} {answer.body!r}"
        # Whichever replica is asked next, it knows the token.
        answer = request_on(connection, "/v1/check", bearer(answer.json()["token"]))
        assert answer.status == 200, f"a token that was just issued: {answer.status} {answer.body!r}"

    def introspect(self, connection):
        form = [("Content-Type", "application/x-www-form-urlencoded"), *bearer(self.people.introspecting)]
        answer = request_on(connection, "/oauth/introspect", form, "POST", f"token={self.people.token}".encode())
        assert answer.status == 200 and answer.json()["active"], f"{answer.status} {answer.body!r}"


class People:
    """Alice, and tokens of hers."""

    def __init__(self, port):
        self.port = port
        self.admin = self.log_in("admin")
        account = {"username": "alice", "password": PASSWORD, "scopes": ["daypass:introspect"]}
        call(port, "POST", "/v1/users", self.admin, **account)
        self.session = self.log_in("alice")
        self.token = self.issue()["token"]
        revoked = self.issue()
        call(port, "DELETE", f"/v1/tokens/{revoked['id']}", self.session)
        self.revoked = revoked["token"]
        self.introspecting = self.issue(scopes=["daypass:introspect"])["token"]

    def log_in(self, name):
        return call(self.port, "POST", "/v1/login", username=name, password=PASSWORD)["token"]

    def issue(self, **members):
        return call(self.port, "POST", "/v1/tokens", self.session, ttl=3600, **members)


def says_that_it_stops(servers, people):
    """For as long as it is announced it answers, and tells whoever listens to go elsewhere."""
    replica = Replica(servers, "three", {"DAYPASS_SHUTDOWN_DELAY": "6s"})
    replica.terminate()
    ready = until(lambda: (answer := replica.ready()).status == 503 and answer, "503", 4)
    assert [part["name"] for part in ready.json()["parts"]] == ["shutdown"], ready.body
    for path, status in (("/v1/check", 200), ("/v1/me", 200), ("/healthz", 200)):
        answer = request(replica.port, path, bearer(people.token))
        assert answer.status == status and answer.header("connection") == ["close"], (path, answer.headers)
    replica.ended()


def writes_its_last_uses(replica, other, people):
    """Tokens that were never used are, until it listens no more; the other replica finds every use in the database."""
    unused, used = [people.issue() for _ in range(60)], []
    replica.terminate()
    with contextlib.suppress(OSError):
        for token in unused:
            assert request(replica.port, "/v1/check", bearer(token["token"])).status == 200
            used.append(token["id"])
            time.sleep(0.04)
    replica.ended()
    assert 10 < len(used) < len(unused), f"{len(used)} of {len(unused)} were used"
    for token in used:
        told = call(other.port, "GET", f"/v1/tokens/{token}", people.session)
        assert told["last_used_at"], f"the use of {used.index(token) + 1} of {len(used)} is lost"
    replica.start()


def restarts_in_turn(check, proxy, replicas, people):
    with Load(proxy.port, people, ["check", "issue", "check_revoked", "issue"]) as load:
        until(lambda: load.total() > 500, "a load")
        for number in range(RESTARTS):
            check(f"restart {number + 1} of {RESTARTS}, of both", restart, proxy, replicas, load)
    print(f"        {load.done} requests, the slowest took {load.slowest:.2f} s", flush=True)
    assert not load.failed, f"{len(load.failed)} failed, such as {load.failed[:5]}"
    for name, told in proxy.servers().items():
        assert name == "BACKEND" or int(told["hrsp_2xx"]) > 500, f"{name} answered {told['hrsp_2xx']}"


def restart(proxy, replicas, load):
    for name, replica in replicas.items():
        before, failed, began = load.total(), len(load.failed), time.monotonic()
        replica.terminate()
        replica.ended()
        rate = (load.total() - before) / (time.monotonic() - began)
        replica.start()
        until(lambda: proxy.is_up(name), f"{name} up")
        assert len(load.failed) == failed, load.failed[failed : failed + 5]
        assert rate > 100, f"{rate:.0f} requests a second while {name} stopped: there was no load"


def survives_kills(proxy, replicas, people):
    """Only what a killed replica was answering may fail; of that, what changes nothing is mostly asked of the other one."""
    with Load(proxy.port, people, ["check", "issue", "check_revoked", "introspect"]) as load:
        for name, replica in replicas.items():
            before, failed = load.total(), len(load.failed)
            replica.process.kill()
            replica.process.wait()
            gone = time.monotonic()
            until(lambda: load.total() > before + 2000, "a load")
            late = [failure for began, failure in load.failed[failed:] if began > gone + hears_of_it_after(failure)]
            assert not late, f"{len(late)} failed that were sent when {name} was gone, such as {late[:5]}"
            print(f"        {len(load.failed) - failed} failed that {name} was asked when it was killed", flush=True)
            replica.start()
            until(lambda: proxy.is_up(name), f"{name} up")


def hears_of_it_after(failure):
    """For how long after a kill a failure may be of it, in seconds.

    What HAProxy sends on a connection that it kept is lost until it has a core to hear that the other end is gone. That nobody can
    be reached (503) is no such thing: then it should have asked the other replica.
    """
    return 0.1 if re.search(r"\b503\b", failure) else 1


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = os.path.abspath(sys.argv[1])
    os.makedirs(folder, exist_ok=True)
    servers, check = Servers(folder, DEPLOY), Checks()
    try:
        replicas = {name: Replica(servers, name) for name in ("one", "two")}
        one, two = replicas.values()
        proxy = HAProxy(servers, [one, two])
        until(lambda: all(map(proxy.is_up, replicas)), "both up")
        people = People(proxy.port)
        check("a replica that stops says so", says_that_it_stops, servers, people)
        check("and writes its last uses", writes_its_last_uses, two, one, people)
        until(lambda: all(map(proxy.is_up, replicas)), "both up")
        check("no request of all failed", restarts_in_turn, check, proxy, replicas, people)
        check("a replica that is killed fails nothing but what it was asked", survives_kills, proxy, replicas, people)
    finally:
        servers.stop()
    result = "FAILED" if check.failed else "ok"
    print(f"\ntest result: {result}. {check.passed} passed; {check.failed} failed; restarted behind HAProxy")
    sys.exit(1 if check.failed else 0)


if __name__ == "__main__":
    main()
