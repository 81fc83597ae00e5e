"""A Daypass that runs, with users, and tokens that work or no longer do."""

import contextlib
import os
import sqlite3

from client import call

PASSWORD = "violet lamps hum quietly"
# For nginx-cache.conf, which may remember what the others do not.
MAX_AGE = 5


class People:
    def __init__(self, servers):
        settings = {
            "DAYPASS_ADMIN_PASSWORD": PASSWORD,
            "DAYPASS_CHECK__PROXY_MAX_AGE": f"{MAX_AGE}s",
            "DAYPASS_CHECK__MAX_STALENESS": "0s",  # so that a database that fails is noticed at once
        }
        self.database = os.path.join(servers.folder, "daypass.db")
        self.port = servers.daypass(os.environ["DAYPASS"], settings)
        self.admin = self.log_in("admin")
        for name in ("alice", "bob"):
            account = {"username": name, "password": PASSWORD, "scopes": ["reports:read"]}
            call(self.port, "POST", "/v1/users", self.admin, **account)
        self.sessions = {name: self.log_in(name) for name in ("alice", "bob")}

    def log_in(self, name):
        return call(self.port, "POST", "/v1/login", username=name, password=PASSWORD)["token"]

    def issue(self, name="alice", ttl=3600):
        """A token that was never used: no proxy knows it."""
        return call(self.port, "POST", "/v1/tokens", self.sessions[name], ttl=ttl)

    def revoke(self, issued):
        call(self.port, "DELETE", f"/v1/tokens/{issued['id']}", self.admin)

    def revoked(self):
        issued = self.issue()
        self.revoke(issued)
        return issued["token"]

    @contextlib.contextmanager
    def failing_database(self):
        """Every check is answered 503 meanwhile, for the table is not there."""
        self.rename("token", "away")
        try:
            yield
        finally:
            self.rename("away", "token")

    def rename(self, table, to):
        with contextlib.closing(sqlite3.connect(self.database, timeout=10)) as database:
            database.execute(f"ALTER TABLE {table} RENAME TO {to}")
            database.commit()
