"""One run: its programs, its folder, and what several groups need and only the first pays for."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from . import tokens
from .process import stop_all
from .servers import ROOT, Daypass, Postgres, require

# Checked before memory is looked at: pools, buffers and the allocator then have what they need.
WARMING = 2_000


def say(text):
    print(text, file=sys.stderr, flush=True)


class Bench:
    def __init__(self, quick, parent, long=False):
        self.quick, self.long = quick, long
        # How many tokens are "many".
        self.hot = self.choose(100_000, 20_000)
        # The database servers run as users of their own and must get in.
        self.folder = Path(tempfile.mkdtemp(prefix="daypass-bench-", dir=parent))
        self.folder.chmod(0o755)
        self._postgres = None
        self._seeded = None

    def close(self):
        stop_all()
        shutil.rmtree(self.folder, ignore_errors=True)

    def choose(self, full, quick):
        return quick if self.quick else full

    def prepare(self):
        require("wrk", "wrk")
        say("building")
        self.daypass = build("--bin", "daypass")
        self.limit = build("--bench", "limit")

    def limit_rate(self, *arguments):
        """What a limit prints: how many a second."""
        command = [self.limit, *map(str, arguments)]
        # In a session of its own like the servers: Linux shares the cores out among sessions.
        ran = subprocess.run(command, check=True, capture_output=True, text=True, start_new_session=True)
        return {"per_second": float(ran.stdout)}

    @property
    def postgres(self):
        if self._postgres is None:
            self._postgres = Postgres(self)
        return self._postgres

    def seeded(self):
        """Tokens (id, token) of an SQLite database that holds them; see `copy_of_seed`."""
        if self._seeded is None:
            say(f"issuing {self.hot + WARMING:,} tokens")
            # What is being filled need not be durable yet.
            daypass = Daypass(self, "seed", f"sqlite://{self.folder}/seed.db", DAYPASS_DATABASE__SQLITE_DURABILITY="normal")
            sessions = tokens.log_in(daypass.port, tokens.make_users(daypass.port))
            self._seeded = tokens.issue(daypass.port, sessions, self.hot + WARMING)
            daypass.stop()
        return self._seeded

    def copy_of_seed(self, name):
        """The URL of a database of one's own with the seeded tokens."""
        self.seeded()
        for end in ("", "-wal", "-shm"):
            source = self.folder / f"seed.db{end}"
            if source.exists():
                shutil.copy(source, self.folder / f"{name}.db{end}")
        return f"sqlite://{self.folder}/{name}.db"


def build(*target):
    """Builds a release program and returns its path."""
    command = ["cargo", "build", "--release", "--locked", *target, "--message-format", "json-render-diagnostics"]
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    messages = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
    made = [message["executable"] for message in messages if message.get("executable")]
    return made[-1]
