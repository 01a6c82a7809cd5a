#!/usr/bin/env python3
"""Requests lost, events lost, leaks and doubles while the platform is treated badly.

    cargo build --release && python3 bench/faults.py [--minutes 60] [--only control,disk] [--rate 50]

A shop of two synthetic services and one that says a line for each request runs under steady open-loop load through the
gateway, with a control process that is started again whenever it ends, as a service manager would. One kind of fault after the
other is brought about for its share of the time:

  control, data-plane, supervisors, instances, everything   kill -9, one per second and one per ten
  full, read-only      the disk of the data folder (a file system of its own), ten seconds of twenty
  descriptors          a soft limit of 1024 and 1500 idle connections to the telemetry port
  frozen ..            SIGSTOP for three seconds of five: control, data plane, a supervisor, an instance
  clock                jumps of an hour to and fro (where libfaketime is installed)
  damaged              status.json emptied, exit.json garbled, a byte of the journal turned while control is down
  deploys              two deploys within three seconds, by all pairs of strategies

For each kind: requests offered and lost, by what the client saw; events whose index is missing; instances of which there were two
at a time; and in the end what is left of processes, control groups and descriptors. File systems need root; without it those
kinds are left out, and said to be. Everything listens on loopback, and everything that was started is stopped.
"""

import argparse
import glob
import http.client
import itertools
import json
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PELAGO = os.environ.get("PELAGO", os.path.join(ROOT, "target", "release", "pelago"))
FAKETIME = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
DISK_MIB = 384
RESTART_S = 0.2
SAMPLE_S = 0.25
IDLE_CONNECTIONS = 1500

CHATTY = """import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        print("asked for", self.path, flush=True)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
class Server(http.server.ThreadingHTTPServer):
    # Five without this: what waited for a data plane would be refused by the instance when it comes all at once.
    request_queue_size = 128
Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""

SHOP = """name: shop
defaults:
  healthcheck: {path: /, interval: 1s}
  update: {keep_old: 0s}
services:
  web: {replicas: 2, behaviour: {work: 1ms, calls: [cart]}}
  cart: {replicas: 2, behaviour: {work: 1ms}}
  chatty: {replicas: 2, artifact: ./chatty, command: python3 app.py, stop_grace_period: 2s}
routes:
  - {path: /, service: web}
  - {path: /chatty, service: chatty}
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self.path)


def start_ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return file.read().rpartition(")")[2].split()[19]


def send(pid, what):
    """To this very process: its number may be another's by now."""
    try:
        descriptor = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(descriptor, what)
        finally:
            os.close(descriptor)
        return True
    except OSError:
        return False


class Site:
    """A data folder on a disk of its own, a control process that comes back, and the shop."""

    def __init__(self, rate):
        self.rate = rate
        self.folder = tempfile.mkdtemp(prefix="pelago-faults-")
        self.disk = os.path.join(self.folder, "disk")
        os.mkdir(self.disk)
        self.is_root = os.geteuid() == 0
        if self.is_root:
            image = os.path.join(self.folder, "image")
            with open(image, "wb") as file:
                file.truncate(DISK_MIB << 20)
            subprocess.run(["mkfs.ext4", "-q", image], check=True)
            subprocess.run(["mount", "-o", "loop", image, self.disk], check=True)
        self.data = os.path.join(self.disk, "data")
        self.app = os.path.join(self.folder, "app")
        os.makedirs(os.path.join(self.app, "chatty"))
        self.write("chatty/app.py", CHATTY)
        self.write("pelago.yaml", SHOP)
        self.gateway, self.telemetry = free_port(), free_port()
        self.offset = os.path.join(self.folder, "offset")
        self.write_offset("+0")
        self.nofile = None
        self.ends = threading.Event()
        self.held = threading.Event()
        self.control = None
        self.keeper = threading.Thread(target=self.keep)
        self.keeper.start()
        self.wait_for_control()
        self.run("up", "--detach", check=True)
        self.doubles, self.last_index, self.known = {}, 0, set()
        self.sampler = threading.Thread(target=self.sample)
        self.sampler.start()

    def write(self, name, text):
        with open(os.path.join(self.app, name), "w", encoding="utf-8") as file:
            file.write(text)

    def write_offset(self, text):
        with open(self.offset, "w", encoding="utf-8") as file:
            file.write(text)

    def environment(self):
        environment = {**os.environ, "PELAGO_DATA": self.data}
        if FAKETIME:
            environment |= {"LD_PRELOAD": FAKETIME[0], "FAKETIME_TIMESTAMP_FILE": self.offset,
                            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_NO_CACHE": "1"}
        return environment

    def keep(self):
        """Starts a control process whenever there is none, as a service manager does."""
        command = [PELAGO, "serve", "--listen", "none", "--gateway", f"127.0.0.1:{self.gateway}",
                   "--telemetry", f"127.0.0.1:{self.telemetry}"]
        with open(os.path.join(self.folder, "control.log"), "ab") as log:
            while not self.ends.is_set():
                if self.held.is_set():
                    time.sleep(0.05)
                    continue
                limit = self.nofile
                def begin(limit=limit):
                    if limit:
                        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
                self.control = subprocess.Popen(command, cwd="/", env=self.environment(), stdout=log,
                                                stderr=log, preexec_fn=begin)
                self.control.wait()
                time.sleep(RESTART_S)

    def run(self, *arguments, check=False):
        environment = {**os.environ, "PELAGO_DATA": self.data}
        done = subprocess.run([PELAGO, *arguments], cwd=self.app, env=environment,
                              capture_output=True, text=True, timeout=300, check=False)
        if check and done.returncode != 0:
            raise SystemExit(f"{arguments} failed:\n{done.stdout}{done.stderr}")
        return done

    def ask(self, target):
        connection = Unix(os.path.join(self.data, "pelago.sock"))
        try:
            connection.request("GET", target)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def wait_for_control(self, limit_s=60):
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            try:
                return self.ask("/health")
            except (OSError, ValueError, http.client.HTTPException):
                time.sleep(0.05)
        raise SystemExit("the control process does not answer; see " + self.folder)

    def settle(self, limit_s=90):
        """Until everything is there again: whether it is."""
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            try:
                status = self.ask("/v1/status")["applications"][0]
                if status["state"] == "running" and all(it["ready"] == it["replicas"] for it in status["services"]):
                    return True
            except (OSError, ValueError, KeyError, IndexError, http.client.HTTPException):
                pass
            time.sleep(0.2)
        return False

    def processes(self):
        """Everything that belongs to the data folder: (role, pid, instance)."""
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    words = file.read().decode(errors="replace").split("\0")
                with open(f"/proc/{entry}/environ", "rb") as file:
                    environ = file.read().decode(errors="replace").split("\0")
                with open(f"/proc/{entry}/stat", encoding="utf-8") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] in "ZX":
                continue
            pid = int(entry)
            if len(words) > 2 and words[1] == "supervise" and words[2].startswith(self.data):
                found.append(("supervisor", pid, os.path.basename(words[2])))
            elif len(words) > 1 and words[1] == "proxy" and any(it.startswith(self.data) for it in words):
                found.append(("data plane", pid, ""))
            elif any(it.startswith("TMPDIR=" + self.data) for it in environ):
                instance = next((it.split("=", 1)[1] for it in environ if it.startswith("PELAGO_INSTANCE=")), "")
                if int(fields[2]) == pid:
                    found.append(("instance", pid, instance))
        return found

    def sample(self):
        """Looks for instances of which there are two."""
        before = set()
        while not self.ends.wait(SAMPLE_S):
            leaders = {}
            for role, pid, instance in self.processes():
                if role == "instance":
                    leaders.setdefault(instance, set()).add(pid)
            now = {name for name, pids in leaders.items() if len(pids) > 1}
            for name in now & before:
                self.doubles[name] = self.doubles.get(name, 0) + 1
            before = now

    def events_lost(self):
        """Indexes that are missing since this was asked last."""
        lost, after = 0, self.last_index
        while True:
            try:
                events = self.ask(f"/v1/events?after={after}&limit=10000")
            except (OSError, ValueError, http.client.HTTPException):
                self.wait_for_control()
                continue
            if not isinstance(events, list):
                print("   the events cannot be read:", events)
                return None
            if not events:
                self.last_index = after
                return lost
            for event in events:
                lost += event["index"] - after - 1
                after = event["index"]

    def load(self, path, seconds):
        command = [PELAGO, "load", f"http://127.0.0.1:{self.gateway}{path}", "--rate", f"{self.rate}/s",
                   "--duration", f"{seconds}s", "--format", "json", "--timeout", "10s"]
        return subprocess.Popen(command, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def pids(self, role):
        if role == "control":
            return [self.control.pid] if self.control and self.control.poll() is None else []
        return [pid for it, pid, _ in self.processes() if it == role]

    def end(self):
        left = []
        try:
            self.settle()
            self.run("down")
            self.held.set()
            self.run("shutdown")
            time.sleep(2)
        finally:
            self.ends.set()
            self.keeper.join(timeout=10)
            self.sampler.join(timeout=10)
            left = self.processes()
            for _, pid, _ in left:
                send(pid, signal.SIGKILL)
            if self.is_root:
                subprocess.run(["mount", "-o", "remount,rw", self.disk], check=False)
                subprocess.run(["umount", "-l", self.disk], check=False)
        return left


class Faults:
    """What is done to a site, each until `until`; returns how often."""

    def __init__(self, site, rng):
        self.site, self.rng = site, rng

    def kill(self, roles, pause_s, until):
        count = 0
        while time.monotonic() + pause_s < until:
            time.sleep(pause_s)
            candidates = [pid for role in roles for pid in self.site.pids(role)]
            if candidates and send(self.rng.choice(candidates), signal.SIGKILL):
                count += 1
        return count

    def full(self, until):
        count, path = 0, os.path.join(self.site.disk, "fill")
        while time.monotonic() + 20 < until:
            subprocess.run(["dd", "if=/dev/zero", f"of={path}", "bs=1M", f"count={DISK_MIB}"],
                           stderr=subprocess.DEVNULL, check=False)
            subprocess.run(["dd", "if=/dev/zero", f"of={path}2", "bs=512", "count=20000"],
                           stderr=subprocess.DEVNULL, check=False)
            count += 1
            time.sleep(10)
            for name in (path, path + "2"):
                os.remove(name)
            time.sleep(10)
        return count

    def read_only(self, until):
        count = 0
        while time.monotonic() + 20 < until:
            # A disk with an error turns itself read-only at once; a polite remount would be refused while files are open.
            device = os.path.basename(os.path.realpath(subprocess.run(
                ["findmnt", "-no", "SOURCE", self.site.disk], capture_output=True, text=True, check=True).stdout.strip()))
            with open(f"/sys/fs/ext4/{device}/trigger_fs_error", "w", encoding="utf-8") as file:
                file.write("1")
            subprocess.run(["mount", "-o", "remount,ro", self.site.disk], check=False, stderr=subprocess.DEVNULL)
            count += 1
            time.sleep(10)
            subprocess.run(["mount", "-o", "remount,rw", self.site.disk], check=False, stderr=subprocess.DEVNULL)
            time.sleep(10)
        return count

    def descriptors(self, until):
        self.site.nofile = (1024, 20000)
        for pid in self.site.pids("control"):
            send(pid, signal.SIGKILL)
        time.sleep(RESTART_S)
        self.site.wait_for_control()
        resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
        idle = []
        while time.monotonic() + 5 < until:
            if len(idle) < IDLE_CONNECTIONS:
                try:
                    connection = socket.create_connection(("127.0.0.1", self.site.telemetry), timeout=1)
                    connection.sendall(b"GET /api/v1/labels HTTP/1.1\r\nhost: localhost\r\nx: ")
                    idle.append(connection)
                    continue
                except OSError:
                    pass
            time.sleep(0.2)
        for connection in idle:
            connection.close()
        self.site.nofile = None
        return len(idle)

    def frozen(self, role, until):
        count = 0
        while True:
            if time.monotonic() + 6 > until:
                return count
            candidates = self.site.pids(role)
            if candidates:
                pid = self.rng.choice(candidates)
                send(pid, signal.SIGSTOP)
                time.sleep(3)
                send(pid, signal.SIGCONT)
                count += 1
            time.sleep(2)

    def clock(self, until):
        count = 0
        while time.monotonic() + 10 < until:
            self.site.write_offset(self.rng.choice(["+3600", "-3600", "+86400", "+0"]))
            count += 1
            time.sleep(5)
        self.site.write_offset("+0")
        return count

    def damaged(self, until):
        count = 0
        for what in itertools.cycle(["status", "exit", "journal"]):
            if time.monotonic() + 10 > until:
                return count
            folders = [os.path.join(self.site.data, "instances", "shop", it)
                       for role, _, it in self.site.processes() if role == "supervisor"]
            if what == "journal":
                self.site.held.set()
                for pid in self.site.pids("control"):
                    send(pid, signal.SIGKILL)
                self.site.control.wait()
                path = os.path.join(self.site.data, "journal.sqlite")
                size = os.path.getsize(path)
                if size > 8192:
                    with open(path, "r+b") as file:
                        place = self.rng.randrange(4096, size)
                        file.seek(place)
                        byte = file.read(1)
                        file.seek(place)
                        file.write(bytes([byte[0] ^ 0x40]))
                self.site.held.clear()
            elif folders:
                folder = self.rng.choice(folders)
                with open(os.path.join(folder, f"{what}.json"), "wb") as file:
                    file.write(b"" if what == "status" else b"{")
            count += 1
            time.sleep(5)

    def deploys(self, until):
        count = 0
        pairs = itertools.cycle(itertools.product(["rolling", "bluegreen", "canary", "immediate"], repeat=2))
        for first, second in pairs:
            if time.monotonic() + 20 > until:
                return count
            for strategy in (first, second):
                self.site.run("deploy", "web", "cart", "--force", "--detach", "--strategy", strategy)
                time.sleep(self.rng.uniform(0.5, 3))
            count += 2
            self.site.settle(30)


def kinds(faults):
    every = ["control", "data plane", "supervisor", "instance"]
    found = {"nothing": lambda until: time.sleep(max(0, until - time.monotonic())) or 0}
    for name, roles in [("control", ["control"]), ("data-plane", ["data plane"]), ("supervisors", ["supervisor"]),
                        ("instances", ["instance"]), ("everything", every)]:
        for pause_s in (1, 10):
            found[f"{name} 1/{pause_s} s"] = lambda until, roles=roles, pause_s=pause_s: faults.kill(roles, pause_s, until)
    for role in every:
        found[f"frozen {role}"] = lambda until, role=role: faults.frozen(role, until)
    found |= {"full": faults.full, "read-only": faults.read_only, "descriptors": faults.descriptors,
              "clock": faults.clock, "damaged": faults.damaged, "deploys": faults.deploys}
    return found


def count_descriptors(site):
    try:
        return len(os.listdir(f"/proc/{site.control.pid}/fd"))
    except OSError:
        return -1


def play(site, name, fault, seconds):
    """One kind: a line of figures."""
    if not site.settle():
        print(f"{name:20}  not everything was there again before it began", flush=True)
    site.events_lost()
    doubles = sum(site.doubles.values())
    loads = [site.load(path, seconds) for path in ("/", "/chatty")]
    count = fault(time.monotonic() + seconds)
    offered, lost = 0, {}
    for load in loads:
        report = json.loads(load.communicate(timeout=seconds + 120)[0])
        offered += report["offered"]
        for status, number in report["statuses"].items():
            if not status.startswith("2"):
                lost[status] = lost.get(status, 0) + number
        for error, number in report["errors"].items():
            if number:
                lost[error] = lost.get(error, 0) + number
    healed = site.settle()
    missing = site.events_lost()
    doubled = sum(site.doubles.values()) - doubles
    by = ", ".join(f"{number} {what}" for what, number in sorted(lost.items())) or "-"
    print(f"{name:20} {count:6} {offered:9} {sum(lost.values()):6}  {by}; events lost {missing}; doubles {doubled}"
          f"{'' if healed else '; NOT WHOLE AGAIN'}", flush=True)
    return offered, sum(lost.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--only", default="")
    parser.add_argument("--rate", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    if shutil.which("mkfs.ext4") is None:
        os.environ["PATH"] += ":/usr/sbin:/sbin"
    site = Site(asked.rate)
    try:
        every = kinds(Faults(site, random.Random(asked.seed)))
        if not site.is_root:
            for name in ("full", "read-only"):
                print(f"{name}: left out, since file systems need root")
                del every[name]
        if not FAKETIME:
            print("clock: left out, since libfaketime is not installed")
            del every["clock"]
        only = [it for it in asked.only.split(",") if it]
        chosen = {name: it for name, it in every.items() if not only or any(name.startswith(one) for one in only)}
        seconds = max(30, int(asked.minutes * 60 / len(chosen)))
        descriptors = count_descriptors(site)
        print(f"{'kind':20} {'faults':>6} {'requests':>9} {'lost':>6}  by what the client saw")
        sums = [play(site, name, fault, seconds) for name, fault in chosen.items()]
        site.settle()
        print(f"in sum {sum(it[0] for it in sums)} requests, {sum(it[1] for it in sums)} lost; descriptors of control "
              f"{descriptors} at the beginning, {count_descriptors(site)} at the end")
    finally:
        left = site.end()
        print(f"left after down and shutdown: {left or 'nothing'}; doubles: {site.doubles or 'none'}")
        if os.path.ismount(site.disk):
            print(f"still mounted: {site.disk}")
        else:
            shutil.rmtree(site.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
