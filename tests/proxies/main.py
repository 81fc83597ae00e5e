"""Daypass behind the proxies of deploy/, each running with those very files. One line for each check, then the counts.

python3 tests/proxies/main.py FOLDER, with programs in the environment: DAYPASS, and of NGINX, CADDY, TRAEFIK and ENVOY
those that are there.
"""

import os
import signal
import sys
import traceback

import cached
import protection
import shapes
from backend import Application
from people import People
from servers import Servers

DEPLOY = os.path.join(os.path.dirname(__file__), "../../deploy")


def older(text):
    """What envoy.yaml says of an Envoy that knows no path_override."""
    text = text.replace("path_override: /v1/check?scope=daypass:admin", "path_prefix: /v1/check?scope=daypass:admin&path=")
    return text.replace("path_override:", "path_prefix:")


class Checks:
    def __init__(self):
        self.passed = self.failed = 0

    def __call__(self, name, body, *arguments):
        try:
            body(*arguments)
        except Exception:
            self.failed += 1
            print(f"FAILED  {name}\n{traceback.format_exc()}", flush=True)
        else:
            self.passed += 1
            print(f"ok      {name}", flush=True)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = os.path.abspath(sys.argv[1])
    os.makedirs(folder, exist_ok=True)
    application, servers, check = Application(), Servers(folder, DEPLOY), Checks()
    try:
        people = People(servers)
        shapes.run(check, people)
        for name, kind, variable, change in (
            ("nginx", "nginx", "NGINX", str),
            ("nginx-cache", "nginx_cache", "NGINX", str),
            ("caddy", "caddy", "CADDY", str),
            ("traefik", "traefik", "TRAEFIK", str),
            ("envoy", "envoy", "ENVOY", str),
            ("envoy-path-prefix", "envoy", "ENVOY", older),
        ):
            if program := os.environ.get(variable):
                proxy = servers.proxy(name, kind, program, people.port, application.port, change)
                protection.run(check, proxy, application, people)
                if name == "nginx-cache":
                    cached.run(check, proxy, people)
    finally:
        servers.stop()
    # As cargo's runner ends, for tests/run to count.
    result = "FAILED" if check.failed else "ok"
    print(f"\ntest result: {result}. {check.passed} passed; {check.failed} failed; behind proxies")
    sys.exit(1 if check.failed else 0)


if __name__ == "__main__":
    main()
