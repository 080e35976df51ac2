"""Starts and stops each server, on its own core.

Doesn't know what is measured.
"""

import base64
import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from . import machine, peers

# The standard error of the server that was started last.
LOG = peers.PEERS / "server.log"
FLOORS = {"floor": "threads", "floor-epoll": "epoll", "floor-sync": "sync"}
SECRET = "a secret for measuring only, 32 bytes"
NGINX = """
daemon off; worker_processes 1; error_log stderr error; pid {folder}/nginx.pid; {user}
events {{ worker_connections 4096; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; client_max_body_size 0;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port}; root {folder}/www;
        location /put/ {{ dav_methods PUT; create_full_put_path on; }}
    }}
}}
"""


@dataclass
class Server:
    """A running server."""

    process: subprocess.Popen
    address: str
    dialect: str
    path: str
    # Time from its start until it was ready.
    started_seconds: float
    tokens: list = field(default_factory=list)

    def processes(self):
        return machine.tree(self.process.pid)

    def target(self):
        """Returns what the load needs to know about the server."""
        return {"address": self.address, "dialect": self.dialect, "path": self.path, "tokens": self.tokens}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Servers:
    """All servers: versions, how to start them, and which are missing."""

    def __init__(self, programs):
        self.programs = programs
        self.versions, self.missing, self._peers = {}, {}, {}

    def install(self, names):
        """Installs the named servers, except our own."""
        peers.PEERS.mkdir(exist_ok=True)
        wanted = {"rustus": peers.rustus, "tusd": peers.tusd, "nginx": peers.nginx, "tus-node": peers.tus_node, "django": peers.django}
        for name in [name for name in wanted if name in names]:
            try:
                self._peers[name], self.versions[name] = wanted[name]()
            except peers.Missing as reason:
                self.missing[name] = str(reason)

    def start(self, name, folder, cores=machine.SERVER_CORE, clients=8, environment=()):
        if name in FLOORS:
            return _announced([self.programs / "floor", folder, FLOORS[name]], cores, {}, "floor", "/")
        if name == "haversack-tus":
            return self._haversack("finish", folder, cores, clients, dict(environment), "tus", "/api/v2/tus/")
        if name.startswith("haversack-"):
            return self._haversack(name.removeprefix("haversack-"), folder, cores, clients, dict(environment))
        return getattr(self, "_" + name.replace("-", "_"))(self._peers[name], folder, cores)

    def _haversack(self, durability, folder, cores, clients, environment, dialect="haversack", path="/api/v2/pm/upload/"):
        # All limits have their defaults.
        command = [
            self.programs / "haversack", "serve", "--listen", "127.0.0.1:0", "--data-dir", folder / "data",
            "--durability", durability, "--page=false", "--log", "warn",
        ]  # fmt: skip
        environment |= {"HAVERSACK_JWT_SECRET": SECRET}
        server = _announced(command, cores, environment, dialect, path)
        server.tokens = [token(user) for user in range(1, clients + 1)]
        return server

    def _rustus(self, program, folder, cores):
        port = _free_port()
        command = program + [
            "--host", "127.0.0.1", "--port", port, "--workers", "1", "--log-level", "WARN", "--max-body-size", "2147483648",
            "--data-dir", folder / "data", "--info-dir", folder / "info",
        ]  # fmt: skip
        return _probed(command, cores, {}, port, "tus", "/files")

    def _tusd(self, program, folder, cores):
        port = _free_port()
        command = program + ["-host", "127.0.0.1", "-port", port, "-upload-dir", folder / "data", "-base-path", "/files/", "-verbose=false"]
        return _probed(command, cores, {}, port, "tus", "/files/")

    def _tus_node(self, program, folder, cores):
        return _announced(program + [folder / "data"], cores, {"NODE_ENV": "production"}, "tus", "/files")

    def _django(self, program, folder, cores):
        port = _free_port()
        command = program + [
            "--bind", f"127.0.0.1:{port}", "--workers", "1", "--worker-class", "gthread", "--threads", "8",
            "--keep-alive", "75", "--log-level", "error", "--no-control-socket", "project:application",
        ]  # fmt: skip
        return _probed(command, cores, {"MEDIA_ROOT": str(folder / "media")}, port, "fine-uploader", "/upload/")

    def _nginx(self, program, folder, cores):
        port = _free_port()
        (folder / "www").mkdir(exist_ok=True)
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, user=user))
        return _probed(program + ["-c", folder / "nginx.conf"], cores, {}, port, "put", "/put/")


def token(user):
    """Makes a token as the application's backend would (HS256)."""
    now = int(time.time())
    claims = {"token_type": "access", "user_id": user, "iat": now, "exp": now + 86400, "jti": f"bench{user}"}
    signed = b".".join(_base64(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return (signed + b"." + _base64(hmac.digest(SECRET.encode(), signed, hashlib.sha256))).decode()


def _base64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _spawn(command, cores, environment, stdout, **options):
    pinned = ["taskset", "--cpu-list", cores] + [str(word) for word in command]
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("HAVERSACK_")}
    with open(LOG, "wb") as log:
        return subprocess.Popen(
            pinned, env=inherited | environment, stdin=subprocess.DEVNULL, stdout=stdout, stderr=log, **options
        )


def _announced(command, cores, environment, dialect, path):
    """Starts a server that prints its address when it is ready."""
    begun = time.perf_counter()
    process = _spawn(command, cores, environment, stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    taken = time.perf_counter() - begun
    if not line.startswith("listening on http://"):
        process.kill()
        raise RuntimeError(f"{Path(command[0]).name} does not print its address: {_last_line()}")
    return Server(process, line.split("//")[1].strip(), dialect, path, taken)


def _probed(command, cores, environment, port, dialect, path):
    """Starts a server that must be polled until it is ready."""
    begun = time.perf_counter()
    process = _spawn(command, cores, environment, stdout=subprocess.DEVNULL)
    while process.poll() is None and time.perf_counter() < begun + 30:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return Server(process, f"127.0.0.1:{port}", dialect, path, time.perf_counter() - begun)
        except OSError:
            time.sleep(0.01)
    process.kill()
    raise RuntimeError(f"{Path(command[0]).name} does not listen: {_last_line()}")


def _last_line():
    """Returns the last line of a server's log, without the absolute folder, because it may be published."""
    last = (LOG.read_text(errors="replace").strip().splitlines() or ["no message"])[-1]
    return last.replace(str(peers.PEERS), "bench/.peers")


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]
