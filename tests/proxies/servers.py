"""Daypass and the proxies, on free ports of loopback and in one folder; each ends by its process id."""

import os
import pwd
import re
import shutil
import socket
import subprocess
import time

from client import request
from tap import Tap

# What stands in the files of deploy/: where the proxy listens, Daypass, and the application.
PROXY, DAYPASS, APPLICATION = "8080", "8000", "9000"


def free_port():
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        return candidate.getsockname()[1]


def wait_for(port, process, log):
    for _ in range(150):
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    with open(log, encoding="utf-8", errors="replace") as lines:
        raise RuntimeError(f"nobody listens on {port}:\n{''.join(lines.readlines()[-20:])}")


def await_answer(port):
    for _ in range(100):
        if request(port, "/public/").status == 200:
            return
        time.sleep(0.1)
    raise RuntimeError(f"what listens on {port} leads nowhere")


class Servers:
    """All that was started."""

    def __init__(self, folder, deploy):
        self.folder, self.deploy, self.processes = folder, deploy, []

    def launch(self, name, command, port, settings=(), **options):
        log = os.path.join(self.folder, f"{name}.log")
        environment = {"PATH": os.environ["PATH"], "HOME": options.get("cwd", self.folder), **dict(settings)}
        with open(log, "ab") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, **options
            )
        self.processes.append(process)
        wait_for(port, process, log)

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def daypass(self, program, settings):
        port = free_port()
        settings = {
            "DAYPASS_DATABASE_URL": "sqlite://daypass.db",
            "DAYPASS_LISTEN": f"127.0.0.1:{port}",
            "DAYPASS_MAINTENANCE__PURGE_SCHEDULE": "0 0 0 1 1 *",
            **settings,
        }
        self.launch("daypass", [program, "serve"], port, settings, cwd=self.folder)
        return port

    def proxy(self, name, kind, program, daypass, application, change=lambda text: text):
        """Starts a proxy with the files of deploy/, of which only ports and paths are changed (and what `change` does)."""
        home = os.path.join(self.folder, name)
        os.mkdir(home)
        # It listens already, so that the proxy's port is another one.
        tap = Tap(daypass)
        proxy = Proxy(name, home, free_port(), tap)
        ports = {PROXY: str(proxy.port), DAYPASS: str(proxy.tap.port), APPLICATION: str(application)}
        command = getattr(self, kind)(program, home, lambda file, to: self.fill(file, to, ports, change))
        self.launch(name, command, proxy.port, {"CADDY_ADMIN": f"unix//{home}/admin"}, cwd=home, **nobody(home))
        # Traefik listens before it has read who may do what.
        await_answer(proxy.port)
        return proxy

    def fill(self, file, to, ports, change):
        with open(os.path.join(self.deploy, file), encoding="utf-8") as source:
            text = change(source.read())
        text = re.sub(r"\b(8080|8000|9000)\b", lambda found: ports[found[0]], text)
        home = os.path.dirname(to)
        text = text.replace("/run/nginx-daypass", f"{home}/cache").replace("/etc/traefik", home)
        with open(to, "w", encoding="utf-8") as target:
            target.write(text)

    def nginx(self, program, home, fill, file="nginx.conf"):
        fill(file, f"{home}/daypass.conf")
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "".join(f"{kind}_temp_path {home}/{kind};" for kind in kinds)
        with open(f"{home}/nginx.conf", "w", encoding="utf-8") as main:
            main.write(f"pid {home}/pid; error_log stderr; daemon off; events {{}}\n")
            main.write(f"http {{ access_log off; {temporary} include {home}/daypass.conf; }}\n")
        return [program, "-e", "stderr", "-p", home, "-c", f"{home}/nginx.conf"]

    def nginx_cache(self, program, home, fill):
        return self.nginx(program, home, fill, "nginx-cache.conf")

    def caddy(self, program, home, fill):
        fill("Caddyfile", f"{home}/Caddyfile")
        return [program, "run", "--config", f"{home}/Caddyfile", "--adapter", "caddyfile"]

    def traefik(self, program, home, fill):
        fill("traefik-dynamic.yml", f"{home}/traefik-dynamic.yml")
        fill("traefik.yml", f"{home}/traefik.yml")
        with open(f"{home}/traefik.yml", "a", encoding="utf-8") as main:
            main.write("\nglobal: { checkNewVersion: false, sendAnonymousUsage: false }\n")
        return [reachable(program, home), f"--configFile={home}/traefik.yml"]

    def envoy(self, program, home, fill):
        fill("envoy.yaml", f"{home}/envoy.yaml")
        return [reachable(program, home), "-c", f"{home}/envoy.yaml", "--disable-hot-restart", "--concurrency", "1"]


class Proxy:
    """One that runs, and what it sends to Daypass."""

    def __init__(self, name, home, port, tap):
        self.name, self.home, self.port, self.tap = name, home, port, tap


def nobody(home):
    """A user without rights where the suite runs as root: what a proxy needs is in its folder."""
    if os.getuid() != 0:
        return {}
    user = pwd.getpwnam("nobody")
    for folder, _, files in os.walk(home):
        for path in [folder, *(os.path.join(folder, file) for file in files)]:
            os.chown(path, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def reachable(program, home):
    """A copy of the program where that user can reach it: target/ may lie in somebody's home."""
    copy = os.path.join(home, os.path.basename(program))
    shutil.copy(program, copy)
    return copy
