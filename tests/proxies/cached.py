"""nginx that remembers checks, as nginx-cache.conf and deploy/README.md promise: late by less than two seconds, no more."""

import datetime
import os
import stat
import threading
import time

from client import bearer, request

# What deploy/README.md says.
BOUND = 2.0


def content(file):
    """Nothing, where the cache has thrown it away meanwhile."""
    try:
        with open(file, "rb") as reading:
            return reading.read()
    except FileNotFoundError:
        return b""


def run(check, proxy, people):
    tests = Tests(proxy, people)
    for name in [name for name in vars(Tests) if not name.startswith("_")]:
        check(f"{proxy.name}: {name.replace('_', ' ')}", getattr(tests, name))


class Tests:
    def __init__(self, proxy, people):
        self._proxy, self._people = proxy, people

    def _ask(self, token, path="/orders"):
        return request(self._proxy.port, path, bearer(token))

    def _user(self, token):
        answer = self._ask(token)
        if answer.status != 200:
            return answer.status
        return [value for name, value in answer.json()["headers"] if name == "remote-user"]

    def a_second_request_asks_nobody(self):
        token = self._people.issue()["token"]
        self._proxy.tap.checks()
        began = time.monotonic()
        for _ in range(50):
            assert self._user(token) == ["alice"]
        # One, and one more for each second that went by.
        assert 1 <= self._proxy.tap.checks()[0] <= 2 + time.monotonic() - began

    def a_revoked_token_stops_passing_within_the_bound(self):
        latest = []
        for phase in range(6):
            issued = self._people.issue()
            time.sleep(phase / 6)
            # Remembered, and remembered anew, up to the moment of the revocation.
            used_until = time.monotonic() + 1.3
            while time.monotonic() < used_until:
                assert self._user(issued["token"]) == ["alice"]
            self._people.revoke(issued)
            revoked = time.monotonic()
            last = revoked
            while time.monotonic() < revoked + BOUND + 0.5:
                sent = time.monotonic()
                if self._ask(issued["token"]).status == 200:
                    last = sent
                time.sleep(0.01)
            assert self._ask(issued["token"]).status == 401
            latest.append(last - revoked)
        print(f"        revoked tokens passed for {', '.join(f'{late:.2f}' for late in latest)} s", flush=True)
        assert max(latest) < BOUND, latest
        assert max(latest) > 0, "nothing was remembered, so this shows nothing"

    def expiry_is_exact(self):
        for ttl in (2, 4):
            issued = self._people.issue(ttl=ttl)
            end = datetime.datetime.fromisoformat(issued["expires_at"].replace("Z", "+00:00")).timestamp()
            while time.time() < end - 0.01:
                assert self._user(issued["token"]) == ["alice"] or time.time() >= end
            time.sleep(max(0, end - time.time()))
            while time.time() < end + BOUND:
                assert self._ask(issued["token"]).status == 401, f"{time.time() - end} s after its end"

    def what_may_not_be_kept_is_not(self):
        token = self._people.issue(ttl=3)["token"]  # max-age is less than 3 once a moment has passed
        time.sleep(0.1)
        self._proxy.tap.checks()
        for _ in range(5):
            assert self._user(token) == ["alice"]
        assert self._proxy.tap.checks()[0] == 5

    def a_refusal_is_not_kept(self):
        self._proxy.tap.checks()
        for _ in range(5):
            assert self._user("nonsense") == 401
        assert self._proxy.tap.checks()[0] == 5

    def two_tokens_never_share_an_answer(self):
        tokens = {name: self._people.issue(name)["token"] for name in ("alice", "bob")}
        tokens["nobody"] = tokens["alice"][:-1] + ("a" if tokens["alice"][-1] != "a" else "b")
        expected = {"alice": ["alice"], "bob": ["bob"], "nobody": 401}
        wrong, until = [], time.monotonic() + 3

        def use(name):
            while time.monotonic() < until:
                if (got := self._user(tokens[name])) != expected[name]:
                    wrong.append((name, got))

        users = [threading.Thread(target=use, args=(name,)) for name in expected for _ in range(3)]
        for user in users:
            user.start()
        for user in users:
            user.join()
        assert not wrong, wrong

    def nor_do_two_scopes(self):
        alice, admin = self._people.issue()["token"], self._people.admin
        for _ in range(3):
            assert self._ask(alice).status == 200
            assert self._ask(alice, "/admin/users").status == 403
            assert self._ask(admin, "/admin/users").status == 200

    def nobody_else_may_read_what_is_kept(self):
        token = self._people.issue()["token"]
        assert self._ask(token).status == 200
        kept = os.path.join(self._proxy.home, "cache")
        assert stat.S_IMODE(os.stat(kept).st_mode) == 0o700, oct(os.stat(kept).st_mode)
        # That it matters: the key is in the file.
        files = [os.path.join(folder, file) for folder, _, files in os.walk(kept) for file in files]
        assert any(token.encode() in content(file) for file in files), files
