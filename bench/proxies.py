"""The proxies that bench/proxy.py compares, each configured to do the same work.

Every proxy has one worker, listens for HTTP/1.1, HTTP/2 without TLS and TLS (both, by ALPN), keeps
connections on both sides, appends X-Forwarded-For and sets X-Forwarded-Proto and -Host, writes no access
log, and shares requests between two upstreams: `/call.grpc` over HTTP/2, everything else over HTTP/1.1.
"""

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

SMALL = 128
LARGE = 64 * 1024
PROXY_CORE, LOAD_CORE = 1, 0
START_S = 10.0


class Stopped(Exception):
    """Something that was started is not there."""


def free_ports(count):
    """Ports nobody listens on, asked for all at once so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    for it in sockets:
        it.bind(("127.0.0.1", 0))
    ports = [it.getsockname()[1] for it in sockets]
    for it in sockets:
        it.close()
    return ports


class Process:
    """A program on one core, with everything it starts."""

    def __init__(self, command, core, folder, environment=None):
        self.command = command
        os.makedirs(folder, exist_ok=True)
        self.log = os.path.join(folder, "output.log")
        with open(self.log, "wb") as log:
            self.popen = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder,
                env={**os.environ, **(environment or {})},
                preexec_fn=lambda: os.sched_setaffinity(0, {core}))

    def stop(self):
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        try:
            self.popen.wait(5)
        except subprocess.TimeoutExpired:
            for pid in self.tree():
                os.kill(pid, signal.SIGKILL)
            self.popen.wait()

    def check(self):
        if self.popen.poll() is not None:
            with open(self.log, encoding="utf-8", errors="replace") as log:
                raise Stopped(f"{' '.join(self.command)} ended:\n{log.read()[-2000:]}")

    def tree(self):
        """Its process and all below it."""
        found, look_at = [], [self.popen.pid]
        while look_at:
            pid = look_at.pop()
            try:
                with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as file:
                    look_at.extend(int(it) for it in file.read().split())
            except FileNotFoundError:
                continue
            found.append(pid)
        return found

    def cpu_s(self):
        """Processor time used by all of it, in user and kernel mode."""
        ticks = 0
        for pid in self.tree():
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                fields = file.read().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def rss_kib(self):
        total = 0
        for pid in self.tree():
            with open(f"/proc/{pid}/status", encoding="utf-8") as file:
                total += sum(int(it.split()[1]) for it in file if it.startswith("VmRSS:"))
        return total


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


NGINX_PATHS = """
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxied; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
"""


def nginx(folder):
    return [shutil.which("nginx"), "-p", folder, "-c", os.path.join(folder, "nginx.conf"), "-e", "stderr"]


class Calls(Process):
    """nghttpd, as a gRPC server: it reads the body, answers 128 bytes, and ends with trailers. (nginx does
    not wait for the body, which other proxies take for a failure now and then.)"""

    def __init__(self, folder):
        files = os.path.join(folder, "files")
        os.makedirs(files)
        (self.port,) = free_ports(1)
        write(os.path.join(files, "call.grpc"), "x" * SMALL)
        types = os.path.join(folder, "mime.types")
        write(types, "application/grpc grpc\n")
        super().__init__([shutil.which("nghttpd"), "--no-tls", "-a", "127.0.0.1", "-d", files, "-m", "512",
                          "--mime-types-file", types, "--trailer", "grpc-status: 0", str(self.port)],
                         LOAD_CORE, folder)


class Web(Process):
    """nginx that answers from memory: 128 bytes and 64 KiB."""

    def __init__(self, folder):
        os.makedirs(folder)
        (self.port,) = free_ports(1)
        write(os.path.join(folder, "large"), "x" * LARGE)
        write(os.path.join(folder, "nginx.conf"), f"""
daemon off; worker_processes 1; error_log stderr crit; pid {folder}/pid;
events {{ worker_connections 8192; }}
http {{
    {NGINX_PATHS.format(folder=folder)}
    access_log off; sendfile on; tcp_nopush on; open_file_cache max=10; default_type text/plain;
    keepalive_timeout 600s; keepalive_requests 1000000000;
    server {{
        listen 127.0.0.1:{self.port};
        location = / {{ return 200 "{'x' * SMALL}"; }}
        location = /large {{ root {folder}; }}
    }}
}}
""")
        super().__init__(nginx(folder), LOAD_CORE, folder)


class Proxy(Process):
    """One of those compared. `h1`, `h2` and `tls` are its ports."""

    name = package = ""

    def __init__(self, folder, web, calls, certificate):
        os.makedirs(folder)
        self.folder, self.certificate = folder, certificate
        self.web, self.calls = [it.port for it in web], [it.port for it in calls]
        self.h1, self.h2, self.tls = free_ports(3)
        environment = {"XDG_DATA_HOME": folder, "XDG_CONFIG_HOME": folder, "GOMAXPROCS": "1"}
        super().__init__(self.prepare(), PROXY_CORE, folder, environment)

    @classmethod
    def program(cls):
        return shutil.which(cls.name)

    def prepare(self):
        """Writes the configuration; the command that starts it."""
        raise NotImplementedError

    def ready(self):
        """Waits until it answers what the upstreams say."""
        deadline = time.monotonic() + START_S
        while True:
            self.check()
            try:
                with socket.create_connection(("127.0.0.1", self.h1), 1) as stream:
                    stream.sendall(b"GET / HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")
                    answer = b""
                    while block := stream.recv(65536):
                        answer += block
                if answer.startswith(b"HTTP/1.1 200") and b"x" * SMALL in answer:
                    return
            except OSError:
                answer = b"no connection"
            if deadline < time.monotonic():
                raise Stopped(f"{self.name} does not pass requests on: {answer[:300]!r}")
            time.sleep(0.05)


class Nginx(Proxy):
    name = package = "nginx"

    def prepare(self):
        folder = self.folder
        certificate, key = self.certificate
        forwarded = ("{0}_set_header X-Forwarded-For $proxy_add_x_forwarded_for; "
                     "{0}_set_header X-Forwarded-Proto $scheme; {0}_set_header X-Forwarded-Host $host; "
                     "{0}_set_header Host $host;")
        keep = "keepalive 512; keepalive_requests 1000000000; keepalive_timeout 600s;"
        write(os.path.join(folder, "nginx.conf"), f"""
daemon off; worker_processes 1; error_log stderr crit; pid {folder}/pid;
events {{ worker_connections 16384; }}
http {{
    {NGINX_PATHS.format(folder=folder)}
    access_log off; keepalive_timeout 600s; keepalive_requests 1000000000;
    upstream web {{ server 127.0.0.1:{self.web[0]}; server 127.0.0.1:{self.web[1]}; {keep} }}
    upstream calls {{ server 127.0.0.1:{self.calls[0]}; server 127.0.0.1:{self.calls[1]}; {keep} }}
    server {{
        listen 127.0.0.1:{self.h1}; listen 127.0.0.1:{self.h2} http2;
        listen 127.0.0.1:{self.tls} ssl http2;
        ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;
        location / {{
            proxy_pass http://web; proxy_http_version 1.1; proxy_set_header Connection "";
            {forwarded.format("proxy")}
        }}
        location = /call.grpc {{ grpc_pass grpc://calls; {forwarded.format("grpc")} }}
    }}
}}
""")
        return nginx(folder)


class Haproxy(Proxy):
    name = package = "haproxy"

    def prepare(self):
        both = os.path.join(self.folder, "both.pem")
        with open(both, "wb") as joined:
            for part in self.certificate:
                with open(part, "rb") as file:
                    joined.write(file.read())
        configuration = os.path.join(self.folder, "haproxy.cfg")
        write(configuration, f"""
global
    nbthread 1
    maxconn 8192
defaults
    mode http
    timeout connect 5s
    timeout client 600s
    timeout server 600s
    timeout http-keep-alive 600s
    option http-keep-alive
    option forwardfor
    http-reuse always
    balance roundrobin
frontend edge
    bind 127.0.0.1:{self.h1}
    bind 127.0.0.1:{self.h2} proto h2
    bind 127.0.0.1:{self.tls} ssl crt {both} alpn h2,http/1.1
    http-request set-header X-Forwarded-Proto http if !{{ ssl_fc }}
    http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    use_backend calls if {{ path /call.grpc }}
    default_backend web
backend web
    server one 127.0.0.1:{self.web[0]}
    server two 127.0.0.1:{self.web[1]}
backend calls
    server one 127.0.0.1:{self.calls[0]} proto h2
    server two 127.0.0.1:{self.calls[1]} proto h2
""")
        return [shutil.which("haproxy"), "-db", "-f", configuration]


class Caddy(Proxy):
    name = package = "caddy"

    def prepare(self):
        certificate, key = self.certificate
        configuration = os.path.join(self.folder, "Caddyfile")
        write(configuration, f"""
{{
    admin off
    auto_https off
    log {{
        level ERROR
    }}
    servers {{
        protocols h1 h2 h2c
    }}
}}
(routes) {{
    bind 127.0.0.1
    reverse_proxy /call.grpc h2c://127.0.0.1:{self.calls[0]} h2c://127.0.0.1:{self.calls[1]} {{
        lb_policy round_robin
    }}
    reverse_proxy 127.0.0.1:{self.web[0]} 127.0.0.1:{self.web[1]} {{
        lb_policy round_robin
        transport http {{
            keepalive 600s
            keepalive_idle_conns 1024
            keepalive_idle_conns_per_host 512
        }}
    }}
}}
http://:{self.h1} {{
    import routes
}}
http://:{self.h2} {{
    import routes
}}
https://:{self.tls} {{
    tls {certificate} {key}
    import routes
}}
""")
        return [shutil.which("caddy"), "run", "--config", configuration, "--adapter", "caddyfile"]


class Pelago(Proxy):
    """The data plane alone: the script tells it the routing table as the control process would."""

    name = "pelago"
    path = None
    feed = None

    @classmethod
    def program(cls):
        return cls.path if cls.path and os.access(cls.path, os.X_OK) else None

    def prepare(self):
        self.socket = os.path.join(self.folder, "proxy.sock")
        self.h2 = self.h1
        tls = os.path.join(self.folder, "tls")
        os.makedirs(tls)
        for part, name in zip(self.certificate, ("default.crt", "default.key")):
            shutil.copy(part, os.path.join(tls, name))
        return [self.path, "proxy", "--socket", self.socket, "--gateway", f"127.0.0.1:{self.h1}",
                "--gateway-tls", f"127.0.0.1:{self.tls}", "--tls-folder", tls, "--workers", "1"]

    def table(self):
        """Two services of two instances each, with the default policy but for a longer timeout."""
        policy = {
            "timeout": "10s",
            "retry": {"attempts": 2, "backoff": "25ms", "max_backoff": "250ms", "budget": "20%"},
            "circuit_breaker": {"consecutive_errors": 5, "open_for": "10s"},
        }
        services = {"web": ("http", self.web), "calls": ("grpc", self.calls)}
        return {
            "index": 1,
            "backends": {
                f"bench/{name}": {
                    "application": "bench", "service": name, "protocol": protocol,
                    "endpoints": [
                        {"instance": f"{name}.{number}", "release": 1, "port": port, "ready_at": 1}
                        for number, port in enumerate(ports, 1)],
                } for name, (protocol, ports) in services.items()
            },
            "edges": {},
            "routes": {"bench": [
                {"path": "/call.grpc", "service": "calls", "resilience": policy},
                {"path": "/", "service": "web", "resilience": policy},
            ]},
        }

    def ready(self):
        deadline = time.monotonic() + START_S
        self.feed = socket.socket(socket.AF_UNIX)
        while True:
            self.check()
            try:
                self.feed.connect(self.socket)
                break
            except OSError as error:
                if deadline < time.monotonic():
                    raise Stopped(f"pelago does not listen on {self.socket}: {error}") from error
                time.sleep(0.02)
        message = json.dumps({"table": self.table()}).encode()
        self.feed.sendall(struct.pack("<I", len(message)) + message)
        # Its reports are read as control would, and thrown away.
        threading.Thread(target=self.read_reports, daemon=True).start()
        super().ready()

    def read_reports(self):
        try:
            while self.feed.recv(1 << 20):
                pass
        except OSError:
            pass

    def stop(self):
        super().stop()
        if self.feed:
            self.feed.close()


ALL = [Pelago, Nginx, Haproxy, Caddy]
