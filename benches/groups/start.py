"""From start to the first answered check on an existing database, and memory: idle, and for each cached token."""

import time
from statistics import median

from lib import tokens
from lib.bench import WARMING, say
from lib.client import Client, ask_many
from lib.process import resident_bytes
from lib.servers import Daypass
from lib.table import figure

STARTS = 15
MIB = 1024 * 1024


def measure(bench):
    requests = [tokens.check_request(token) for _, token in bench.seeded()]
    url = bench.copy_of_seed("start")

    starts = []
    for _ in range(STARTS):
        began = time.perf_counter()
        server = Daypass(bench, "start", url, wait=False)
        first_answer(server, requests[0])
        starts.append((time.perf_counter() - began) * 1000)
        server.stop()

    server = Daypass(bench, "memory", url)
    time.sleep(2)
    idle = resident_bytes(server.pid)
    say(f"checking {bench.hot:,} tokens once")
    # Every so many-th, over the whole table: the database's page caches are full before the count begins.
    every = len(requests) // WARMING
    ask_many(server.port, requests[::every], 200)
    before = settled(server)
    ask_many(server.port, [one for number, one in enumerate(requests) if number % every], 200)
    each = (settled(server) - before) / bench.hot
    server.stop()

    start, idle = median(starts), idle / MIB
    return [
        figure("start", f"start to the first check, median of {STARTS}", f"{start:.0f} ms", "≤ 100 ms", start <= 100, starts),
        figure("start", "memory, idle", f"{idle:.1f} MiB", "≤ 25 MiB", idle <= 25, idle),
        figure("start", f"memory, each of {bench.hot:,} cached tokens", f"{each:.0f} B", "≤ 256 B", each <= 256, each),
    ]


def first_answer(server, request):
    while server.process.popen.poll() is None:
        try:
            client = Client(server.port)
        except OSError:
            time.sleep(0.0005)
            continue
        [(status, _)] = client.ask(request)
        client.close()
        if status == 200:
            return
    raise RuntimeError(f"it did not start:\n{server.process.tail()}")


def settled(server):
    time.sleep(2)
    return resident_bytes(server.pid)
