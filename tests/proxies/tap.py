"""What stands between a proxy and Daypass: it passes bytes on, keeps those that the proxy sent, and can be cut off."""

import contextlib
import re
import socket
import threading


class Tap:
    """Listens on a free port of loopback, and on the same one again after it was cut off."""

    def __init__(self, target):
        self.target = target
        self.port = 0
        self.silent = False
        self.sent = bytearray()
        self.opened = 0
        self.lock = threading.Lock()
        self.open()

    def open(self):
        self.connections = set()
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def cut(self):
        """As a service that is down: connections are refused, and those that were open are closed."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def checks(self):
        """How many requests the proxy sent since it was last asked, and their bytes."""
        with self.lock:
            sent, self.sent = bytes(self.sent), bytearray()
        return len(re.findall(rb"^[A-Z]+ \S+ HTTP/1\.[01]\r$", sent, re.MULTILINE)), sent

    def accept(self, listener):
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            self.opened += 1
            threading.Thread(target=self.serve, args=(near,), daemon=True).start()

    def serve(self, near):
        with near, socket.create_connection(("127.0.0.1", self.target)) as far:
            self.connections.add(near)
            answers = threading.Thread(target=self.pump, args=(far, near, False), daemon=True)
            answers.start()
            self.pump(near, far, True)
            answers.join()
            self.connections.discard(near)

    def pump(self, source, sink, keep):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if keep:
                    with self.lock:
                        self.sent += data
                if not self.silent:
                    sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
