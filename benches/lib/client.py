"""A small HTTP/1.1 client that keeps connections: for what is not measured but has to be asked many times."""

import json
import socket
import threading


class Client:
    """One connection."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.unread = b""

    def ask(self, *requests):
        """Sends requests one behind the other and returns a (status, body) for each."""
        self.socket.sendall(b"".join(requests))
        return [self._answer() for _ in requests]

    def close(self):
        self.socket.close()

    def _answer(self):
        while b"\r\n\r\n" not in self.unread:
            self._read()
        head, self.unread = self.unread.split(b"\r\n\r\n", 1)
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        while len(self.unread) < length:
            self._read()
        body, self.unread = self.unread[:length], self.unread[length:]
        return int(head.split(b" ", 2)[1]), body

    def _read(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionError("the server closed the connection")
        self.unread += data


def request(method, path, authorization=None, body=None, content_type="application/json"):
    """The bytes of a request; they are also what wrk sends."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    if authorization:
        lines.append(f"Authorization: {authorization}")
    if body is None:
        return "\r\n".join([*lines, "", ""]).encode()
    text = body if isinstance(body, str) else json.dumps(body)
    lines += [f"Content-Type: {content_type}", f"Content-Length: {len(text)}"]
    return "\r\n".join([*lines, "", text]).encode()


def ask_many(port, requests, expect, connections=32, depth=8):
    """Sends many requests over several connections, a few at a time on each; bodies in the order of the requests."""
    bodies = [None] * len(requests)
    failures = []

    def work(first):
        client = Client(port)
        try:
            for start in range(first * depth, len(requests), connections * depth):
                part = requests[start:start + depth]
                for offset, (status, body) in enumerate(client.ask(*part)):
                    if status != expect:
                        raise RuntimeError(f"expected {expect}, was answered {status}: {body.decode(errors='replace')}")
                    bodies[start + offset] = body
        except (OSError, RuntimeError) as error:
            failures.append(error)
        finally:
            client.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return bodies


def ask_one(port, one, expect):
    return ask_many(port, [one], expect, connections=1)[0]
