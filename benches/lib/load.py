"""Load by wrk, with the CPU time that it costs the server."""

import json
import signal
import subprocess
from pathlib import Path

from .process import cpu_seconds

WALK = Path(__file__).parent.parent / "walk.lua"
PACED = Path(__file__).parent / "paced.lua"
THREADS = 2


def write_requests(bench, name, requests):
    """A file for walk.lua; each of wrk's threads needs a request of its own."""
    file = bench.folder / f"{name}.requests"
    if len(requests) < THREADS:
        requests = requests * THREADS
    file.write_bytes(b"\0".join(requests))
    return file


def run(port, file, connections, seconds, refused=False, once=False, paced=False, pids=None):
    """Runs wrk as below. `pids` names the processes whose CPU time is taken; it is given for each request in µs.

    Every answer must be a success, or every one a refusal (`refused`): figures of anything else mean nothing.
    """
    before = {name: cpu_seconds(pid) for name, pid in (pids or {}).items()}
    result = wrk(port, file, connections, seconds, once, paced)
    after = {name: cpu_seconds(pid) for name, pid in (pids or {}).items()}
    expected = result["requests"] if refused else 0
    if result["requests"] == 0 or result["broken"] or result["refused"] != expected:
        raise RuntimeError(f"unexpected answers from port {port}: {result}")
    result["per_second"] = result["requests"] / result["seconds"]
    result["cpu_us"] = {name: (after[name] - before[name]) / result["requests"] * 1e6 for name in after}
    return result


def wrk(port, file, connections, seconds, once=False, paced=False):
    """What walk.lua counts, as fast as it goes or `paced`. With `once` it is over when all of the file was sent, or after so many
    seconds."""
    threads = min(THREADS, connections)
    command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", "-s", PACED if paced else WALK]
    command += [f"http://127.0.0.1:{port}", "--", file, str(threads)] + (["once"] if once else [])
    lines = []
    with subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout:
            lines.append(line)
            if line == "WALKED\n" and lines.count(line) == threads:
                process.send_signal(signal.SIGINT)
    found = [line for line in lines if line.startswith("RESULT ")]
    if process.returncode != 0 or not found:
        raise RuntimeError(f"wrk failed: {''.join(lines)}")
    return json.loads(found[0].removeprefix("RESULT "))
