"""Attacks a running service with slow clients, checks a token meanwhile, and says how that went. Called by tests/slow."""

import http.client
import json
import os
import subprocess
import sys
import threading
import time

port, process, password, seconds, work = sys.argv[1:]
port, process, seconds = int(port), int(process), int(seconds)

CLIENTS = 1000
# To reach.
P99_MS = 100
# Beyond what the process takes before, without the pages of the program itself: 64 KiB for each client, for its connection's
# buffers and its task.
GROWTH_MIB = 64
# Beyond what the system holds for TCP before, of everybody: answers that are not read. It took 2 GiB where it was free to.
TCP_GROWTH_MIB = 256

ATTACKS = {
    "slow heads (-H)": ["-H", "-i", "4", "-x", "24", "-u", f"http://127.0.0.1:{port}/healthz"],
    "slow bodies (-B)": ["-B", "-i", "4", "-x", "10", "-s", "8192", "-u", f"http://127.0.0.1:{port}/v1/login"],
    "slow reading (-X)": ["-X", "-n", "4", "-z", "32", "-w", "512", "-y", "1024", "-k", "3",
                          "-u", f"http://127.0.0.1:{port}/docs/swagger-ui.js"],
}


def started(attempts=300):
    for _ in range(attempts):
        try:
            return ask("GET", "/readyz", {})
        except OSError:
            time.sleep(0.1)
    sys.exit("it does not listen")


def ask(method, path, headers, body=None, connection=None):
    connection = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def memory():
    with open(f"/proc/{process}/status") as status:
        kib = next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))
    return kib / 1024


def tcp_memory():
    with open("/proc/net/sockstat") as sockets:
        pages = next(int(line.split()[-1]) for line in sockets if line.startswith("TCP:"))
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def descriptors():
    return len(os.listdir(f"/proc/{process}/fd"))


def keep_checking(headers, until, took, failed):
    """A check every 5 ms; every tenth one over a connection of its own."""
    kept = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    number = 0
    while not until.is_set():
        number += 1
        began = time.perf_counter()
        try:
            status, _ = ask("GET", "/v1/check", headers, connection=None if number % 10 == 0 else kept)
            if status != 200:
                failed.append(str(status))
        except (OSError, http.client.HTTPException) as error:
            failed.append(repr(error))
            kept = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        took.append((time.perf_counter() - began) * 1000)
        time.sleep(0.005)


def at(sorted_times, share):
    return sorted_times[min(len(sorted_times) - 1, int(len(sorted_times) * share))]


def attack(name, options, headers):
    until, took, failed = threading.Event(), [], []
    checking = threading.Thread(target=keep_checking, args=(headers, until, took, failed))
    checking.start()
    time.sleep(2)
    base_memory, base_tcp, base_open = memory(), tcp_memory(), descriptors()
    most_memory = most_tcp = most_open = last_seen = 0
    command = ["slowhttptest", "-c", str(CLIENTS), "-r", "500", "-l", str(seconds), "-p", "5", "-v", "1", *options]
    with open(f"{work}/attack", "wb") as output:
        began = time.monotonic()
        attacker = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        while attacker.poll() is None:
            opened = descriptors() - base_open
            most_memory, most_tcp, most_open = max(most_memory, memory()), max(most_tcp, tcp_memory()), max(most_open, opened)
            if opened > CLIENTS / 10:
                last_seen = time.monotonic() - began
            time.sleep(0.1)
    until.set()
    checking.join()
    took.sort()
    grown, tcp_grown = most_memory - base_memory, most_tcp - base_tcp
    print(f"| {name} | {most_open} | {last_seen:.0f} s | {len(took)} | {at(took, 0.5):.1f}, {at(took, 0.99):.1f}, "
          f"{took[-1]:.1f} ms | {len(failed)} | {base_memory:.0f}, {most_memory:.0f}, {memory():.0f} MiB | "
          f"{max(tcp_grown, 0):.0f} MiB |", flush=True)
    wrong = []
    if most_open < 0.9 * CLIENTS:
        wrong.append(f"only {most_open} of {CLIENTS} slow clients were there")
    if at(took, 0.99) > P99_MS:
        wrong.append(f"a check in a hundred took {at(took, 0.99):.1f} ms or longer")
    if failed:
        wrong.append(f"checks failed: {sorted(set(failed))}")
    if grown > GROWTH_MIB:
        wrong.append(f"it took {grown:.0f} MiB more")
    if tcp_grown > TCP_GROWTH_MIB:
        wrong.append(f"the system took {tcp_grown:.0f} MiB more for TCP")
    return [f"{name}: {what}" for what in wrong]


started()
status, body = ask("POST", "/v1/login", {"Content-Type": "application/json"},
                   json.dumps({"username": "admin", "password": password}))
token = {"Authorization": "Bearer " + json.loads(body)["token"]}
print(f"{CLIENTS} slow clients for {seconds} s in each way; a check may take {P99_MS} ms at p99, memory grow by {GROWTH_MIB} MiB, "
      f"the system's for TCP by {TCP_GROWTH_MIB} MiB.\n")
print("| slow clients | open at most | more than a tenth of them until | checks | p50, p99, longest | failed | memory before, at most, after | TCP's |")
print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
wrong = [what for name, options in ATTACKS.items() for what in attack(name, options, token)]
print(*wrong, sep="\n")
sys.exit(1 if wrong else 0)
