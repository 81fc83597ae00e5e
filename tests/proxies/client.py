"""Requests as they are written here: header names, repeated headers and paths are not tidied."""

import http.client
import json


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = [(name.lower(), value) for name, value in response.getheaders()]
        self.body = response.read()

    def header(self, name):
        return [value for header, value in self.headers if header == name]

    def json(self):
        return json.loads(self.body)


def bearer(token):
    return [("Authorization", f"Bearer {token}")]


def request(port, path, headers=(), method="GET", body=None, timeout=20):
    """Sends one request; `body` is bytes, or a list of them for chunks."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        return request_on(connection, path, headers, method, body)
    finally:
        connection.close()


def request_on(connection, path, headers=(), method="GET", body=None):
    connection.putrequest(method, path, skip_accept_encoding=True)
    for name, value in headers:
        connection.putheader(name, value)
    chunked = isinstance(body, list)
    if chunked:
        connection.putheader("Transfer-Encoding", "chunked")
    elif body is not None:
        connection.putheader("Content-Length", str(len(body)))
    try:
        connection.endheaders(iter(body) if chunked else body, encode_chunked=chunked)
    except (BrokenPipeError, ConnectionResetError):
        pass  # refused before the body was sent: the answer is there
    return Answer(connection.getresponse())


def call(port, method, path, token=None, **members):
    """An operation of Daypass's API that must succeed."""
    headers = [("Content-Type", "application/json")] + (bearer(token) if token else [])
    answer = request(port, path, headers, method, json.dumps(members).encode() if members else None)
    assert answer.status < 300, f"{method} {path}: {answer.status} {answer.body!r}"
    return answer.json() if answer.body else None
