"""What bench/telemetry.py compares and measures with: the platform with services that are watched, Debian's
Prometheus, and remote write.

Both are asked over HTTP, and both send and keep what they would for anybody else. Processor time and memory are the
system's figures of one process.
"""

import gzip
import http.client
import json
import os
import re
import shutil
import struct
import subprocess
import tempfile
import time
import urllib.parse

from mesh import Platform
from proxies import Stopped, free_ports, write

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SERVICES = os.path.join(ROOT, "bench", "telemetry_services.py")
LITERAL_BYTES = 1 << 16


def cpu_s(pid):
    """Processor time a process has used, in user and kernel mode."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(pid, what="VmRSS"):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return int(re.search(rf"{what}:\s+(\d+)", file.read()).group(1)) / 1024


def size(folder):
    """Bytes of all files below a folder."""
    return sum(os.lstat(os.path.join(place, name)).st_size for place, _, names in os.walk(folder) for name in names)


def processes(*words):
    """The processes whose command line has all these words."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                text = file.read().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if all(it in text for it in words):
            found.append(int(pid))
    return found


class Site(Platform):
    """The platform with an application as given, and a port for telemetry."""

    def __init__(self, pelago, manifest, files=None):
        super().__init__(pelago)
        (self.telemetry,) = free_ports(1)
        self.environment["PELAGO_TELEMETRY"] = f"127.0.0.1:{self.telemetry}"
        os.mkdir(os.path.join(self.folder, "files"))
        shutil.copy(SERVICES, os.path.join(self.folder, "files", "service.py"))
        for name, text in (files or {}).items():
            write(os.path.join(self.folder, "files", name), text)
        write(os.path.join(self.folder, "pelago.yaml"), manifest)

    def status(self):
        """What the stores say: bytes, counts and refusals."""
        said = json.loads(self.get("/v1/telemetry"))
        return {it["signal"]: it for it in said["signals"]}, said["refused"], said["targets"]

    def data_plane(self):
        (pid,) = processes(self.data, " proxy ")
        return pid


class Prometheus:
    """Debian's Prometheus on a port of its own, with a folder that may be filled before."""

    def __init__(self, targets=(), folder=None):
        self.folder = folder or tempfile.mkdtemp(prefix="peprom", dir="/tmp")
        self.data = os.path.join(self.folder, "data")
        self.targets = targets
        (self.port,) = free_ports(1)
        self.popen = None

    @staticmethod
    def program(name="prometheus"):
        for path in (os.path.join(ROOT, "target/prometheus/usr/bin", name), f"/usr/bin/{name}"):
            if os.access(path, os.X_OK):
                return path
        raise Stopped("there is no Prometheus; run scripts/prometheus")

    def __enter__(self):
        config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": [
            {"job_name": "bench", "static_configs": [{"targets": [f"127.0.0.1:{it}" for it in self.targets]}]}]}
        if not self.targets:
            del config["scrape_configs"]
        file = os.path.join(self.folder, "prometheus.yml")
        write(file, json.dumps(config))
        with open(os.path.join(self.folder, "output.log"), "ab") as log:
            self.popen = subprocess.Popen(
                [self.program(), f"--config.file={file}", f"--storage.tsdb.path={self.data}",
                 f"--web.listen-address=127.0.0.1:{self.port}", "--storage.tsdb.retention.time=100y",
                 "--web.enable-remote-write-receiver", "--web.console.templates=.", "--web.console.libraries=."],
                stdout=log, stderr=log, cwd=self.folder)
        deadline = time.monotonic() + 60
        while True:
            try:
                if ask(self.port, "/-/ready")[0] == 200:
                    return self
            except OSError:
                pass
            if deadline < time.monotonic() or self.popen.poll() is not None:
                self.__exit__()
                raise Stopped("Prometheus does not start")
            time.sleep(0.1)

    def __exit__(self, *_):
        self.popen.terminate()
        self.popen.wait()
        shutil.rmtree(self.folder)

    def own(self, metric):
        """A metric of its own, summed."""
        text = ask(self.port, "/metrics")[1].decode()
        return sum(float(it) for it in re.findall(rf"^{metric}(?:\{{.*\}})? (\S+)$", text, re.MULTILINE))


def ask(port, target, body=None, headers=None):
    """Status and body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    try:
        connection.request("GET" if body is None else "POST", target, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def query(port, expression, at):
    """An instant query's result."""
    target = "/api/v1/query?" + urllib.parse.urlencode({"query": expression, "time": at})
    return json.loads(ask(port, target)[1])["data"]["result"]


def query_range(port, expression, start, end, step):
    """A range query's answer as it came, and the seconds it took."""
    asked = {"query": expression, "start": start, "end": end, "step": step}
    began = time.perf_counter()
    status, body = ask(port, "/api/v1/query_range?" + urllib.parse.urlencode(asked))
    took = time.perf_counter() - began
    if status != 200:
        raise Stopped(f"{expression}: {status} {body[:300]}")
    return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body, took


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def literal(text):
    """Snappy that repeats nothing: literals alone are valid."""
    out = [varint(len(text))]
    for at in range(0, len(text), LITERAL_BYTES):
        part = text[at:at + LITERAL_BYTES]
        out += [bytes([61 << 2]), struct.pack("<H", len(part) - 1), part]
    return b"".join(out)


def remote_write(port, series):
    """Sends series, each its labels and its (milliseconds, value)."""
    message = []
    for labels, samples in series:
        names = b"".join(field(1, field(1, name.encode()) + field(2, value.encode()))
                         for name, value in sorted(labels.items()))
        values = b"".join(field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + varint(at)) for at, value in samples)
        message.append(field(1, names + values))
    headers = {"content-type": "application/x-protobuf", "content-encoding": "snappy",
               "x-prometheus-remote-write-version": "0.1.0", "user-agent": "bench/1"}
    status, body = ask(port, "/api/v1/write", literal(b"".join(message)), headers)
    if status // 100 != 2:
        raise Stopped(f"remote write: {status} {body[:300]}")
