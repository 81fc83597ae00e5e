"""Processes that a run starts: their CPU time, their memory, and that each is ended when the run ends."""

import os
import socket
import subprocess
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
running = []


class Process:
    """A server in the background. What it prints goes to a file that is cut now and then."""

    def __init__(self, command, log, env=None, cwd=None):
        self.log = Path(log)
        # Appending, so that the file can be cut while it is written to.
        with open(self.log, "ab") as output:
            # In a session of its own, so that Ctrl-C reaches the run alone and it ends things in order.
            self.popen = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env, cwd=cwd, start_new_session=True,
            )
        self.pid = self.popen.pid
        running.append(self)

    def await_port(self, port, seconds=30):
        """Waits until it accepts connections."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.popen.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError(f"{self.popen.args[0]} did not start:\n{self.tail()}")

    def cut_log(self):
        """Keeps a long run from filling the disk: every check is a line."""
        os.truncate(self.log, 0)

    def tail(self):
        return self.log.read_bytes()[-2000:].decode(errors="replace")

    def stop(self):
        if self in running:
            running.remove(self)
        if self.popen.poll() is not None:
            return
        self.popen.terminate()
        try:
            self.popen.wait(25)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


def stop_all():
    for process in reversed(running[:]):
        process.stop()


def cpu_seconds(pid):
    """CPU time of a process and its descendants; of those that ended, what their parents were told."""
    parents, times = {}, {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            # The name in parentheses may hold anything; what is wanted comes after it.
            fields = Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        parents[int(entry)] = int(fields[1])
        times[int(entry)] = sum(int(field) for field in fields[11:15])
    return sum(times[one] for one in times if _descends(one, pid, parents)) / TICKS


def _descends(pid, ancestor, parents):
    while pid in parents:
        if pid == ancestor:
            return True
        pid = parents[pid]
    return False


def resident_bytes(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"process {pid} is gone")


def free_port():
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
