"""The requests with which proxies ask, sent to Daypass as they are documented and were seen, over one connection each."""

import http.client

from client import bearer, request_on

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
BEFORE = "/orders/7?page=2&q=a%20b"
FORWARDED = [("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "app.example")]


def traefik(method):
    """ForwardAuth: always GET, at the address that is configured."""
    original = [("X-Forwarded-Method", method), ("X-Forwarded-Uri", BEFORE), ("X-Forwarded-Port", "443")]
    return "GET", "/v1/check", [("User-Agent", "Go-http-client/1.1"), *FORWARDED, *original, ("Accept-Encoding", "gzip")]


def caddy(method):
    """forward_auth: GET, with all headers of the request, those about its body too."""
    original = [("X-Forwarded-Method", method), ("X-Forwarded-Uri", BEFORE)]
    return "GET", "/v1/check?scope", [*FORWARDED, *original, ("Content-Type", "application/json"), ("Cookie", "a=b")]


def nginx(_method):
    """auth_request with proxy_method HEAD, and nothing about the body."""
    return "HEAD", "/v1/check?scope=", []


def envoy(path):
    """ext_authz: the method of the request, its path behind path_prefix, and no body, which it says with a length."""
    own = [("X-Envoy-Internal", "true"), ("X-Envoy-Expected-Rq-Timeout-Ms", "5000")]
    return lambda method: (method, path, [("Content-Length", "0"), *own, ("X-Forwarded-For", "203.0.113.9")])


SHAPES = {
    "Traefik": traefik,
    "Caddy": caddy,
    "nginx": nginx,
    "Envoy, path_override": envoy("/v1/check"),
    "Envoy, path_prefix": envoy("/v1/check" + BEFORE),
    "Envoy, path_prefix with a scope": envoy("/v1/check?scope=reports:read&path=" + BEFORE),
    "Envoy, path_prefix, odd path": envoy("/v1/check//a/../b;c=%2F%00%ff"),
}


def run(check, people):
    for name, shape in SHAPES.items():
        check(f"request of {name}", asks, people, shape)


def asks(people, shape):
    alice, revoked = people.issue()["token"], people.revoked()
    connection = http.client.HTTPConnection("127.0.0.1", people.port, timeout=10)
    connection.connect()
    kept = connection.sock
    for method in METHODS:
        asked, path, headers = shape(method)
        lacking = f"{path}{'&' if '?' in path else '?'}scope=billing:write"
        refused = [(token, path, 401) for token in (None, revoked, "nonsense")]
        for token, at, status in [(alice, path, 200), (alice, lacking, 403), *refused]:
            answer = request_on(connection, at, [*(bearer(token) if token else []), *headers], asked)
            assert answer.status == status, f"{asked} {at}: {answer.status} instead of {status}"
            assert (asked == "HEAD") == (answer.body == b""), f"{asked}: {answer.body!r}"
            users, challenges = answer.header("remote-user"), answer.header("www-authenticate")
            assert users == (["alice"] if status == 200 else []), users
            assert len(challenges) == (0 if status == 200 else 1), challenges
    assert connection.sock is kept, "the connection was closed in between"
    connection.close()
