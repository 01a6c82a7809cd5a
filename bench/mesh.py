#!/usr/bin/env python3
"""The mesh under load: what a slow instance costs, and what is lost when something is killed or replaced.

    cargo build --release && python3 bench/mesh.py [--only slow,instances,control,restart,swaps,follows,changes]

Every figure is of the real platform, `pelago up` in a data folder of its own, and `pelago load` through its
gateway; `swaps` and `changes` feed a data plane by hand, as control does.

  slow       ten instances, one of which takes 100 ms and not 5: latency by rule of balance
  instances  `kill -9` of each of ten instances, one after the other
  control    `kill -9` of the control process, and a new one five times
  restart    `pelago restart`: every instance of both services is replaced
  swaps      the routing table is changed 100 times a second, instances come and go
  follows    from an event being recorded until every worker routes by it, as `pelago doctor` says
  changes    the part of that from a change being sent to the data plane on

Everything listens on loopback, and everything that was started is stopped.
"""

import argparse
import collections
import http.client
import json
import os
import queue
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

from proxies import Stopped, free_ports

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
INSTANCES = 10
USUAL_MS, SLOW_MS = 5, 100
RULES = ["round-robin", "least-loaded", "peak-ewma"]
WAIT_S = 30.0
SWAPS_PER_S = 100


def worker(pelago):
    """A synthetic service of which the instance with the number 1 may be slow."""
    behaviour = json.dumps({"work": {"distribution": "fixed", "time": "TIME"}, "response": "1KiB"})
    return f"""#!/bin/sh
time={USUAL_MS}ms
[ -n "$SLOW" ] && [ "$PELAGO_INSTANCE" = "back.1" ] && time={SLOW_MS}ms
PELAGO_BEHAVIOUR=$(printf '%s' '{behaviour}' | sed "s/TIME/$time/") exec {pelago} emulate
"""


def manifest(slow):
    """`front` calls `back`; routes lead to `front`, and to `back` by every rule."""
    routes = "\n".join(f"  - {{host: {it}.localhost, service: back, resilience: {{balance: {it}}}}}"
                       for it in RULES)
    return f"""name: mesh
services:
  front: {{behaviour: {{work: 1ms, calls: [back]}}, replicas: 2}}
  back:
    artifact: ./worker
    command: ./worker.sh
    replicas: {INSTANCES}
    environment: {{SLOW: "{'yes' if slow else ''}"}}
    healthcheck: {{path: /health, interval: 1s}}
routes:
  - {{host: front.localhost, service: front}}
{routes}
"""


class OverSocket(http.client.HTTPConnection):
    """The API, on its Unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Platform:
    """A control process with a gateway, and the application."""

    def __init__(self, pelago, slow=False):
        self.pelago = pelago
        # Short: a socket's path may have 107 bytes.
        self.folder = tempfile.mkdtemp(prefix="pemesh", dir="/tmp")
        self.data = os.path.join(self.folder, "data")
        (self.port,) = free_ports(1)
        self.environment = {**os.environ, "PELAGO_DATA": self.data,
                            "PELAGO_GATEWAY": f"127.0.0.1:{self.port}"}
        os.mkdir(os.path.join(self.folder, "worker"))
        script = os.path.join(self.folder, "worker", "worker.sh")
        with open(script, "w", encoding="utf-8") as file:
            file.write(worker(pelago))
        os.chmod(script, 0o755)
        with open(os.path.join(self.folder, "pelago.yaml"), "w", encoding="utf-8") as file:
            file.write(manifest(slow))
        self.control = None

    def __enter__(self):
        try:
            self.start_control()
            self.run("up", "--detach")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            if self.control.poll() is not None:
                self.start_control()
            self.run("down")
        finally:
            self.control.terminate()
            self.control.wait()
            shutil.rmtree(self.folder)

    def start_control(self):
        with open(os.path.join(self.folder, "control.log"), "ab") as log:
            self.control = subprocess.Popen([self.pelago, "serve", "--listen", "none"], cwd=self.folder,
                                            env=self.environment, stdout=log, stderr=log)
        self.until("the control process", lambda: self.get("/health") is not None)

    def run(self, *arguments):
        done = subprocess.run([self.pelago, *arguments], cwd=self.folder, env=self.environment,
                              capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            raise Stopped(f"pelago {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def get(self, target):
        """What the API says; nothing where nobody is in charge."""
        connection = OverSocket(os.path.join(self.data, "pelago.sock"))
        try:
            connection.request("GET", target)
            return connection.getresponse().read()
        except OSError:
            return None
        finally:
            connection.close()

    def instances(self, service):
        status = json.loads(self.get("/v1/status"))
        found = next(it for it in status["applications"][0]["services"] if it["name"] == service)
        return [it for it in found["instances"] if it["state"] == "ready"]

    def until(self, what, done):
        deadline = time.monotonic() + WAIT_S
        while not done():
            if deadline < time.monotonic():
                raise Stopped(f"waited for {what} in vain")
            time.sleep(0.01)

    def load(self, host, rate, seconds, *options):
        """Load that goes on while something happens; `report` waits for its end."""
        return Load([self.pelago, "--format", "json", "load", "--rate", f"{rate}/s", "--duration",
                     f"{seconds}s", "--header", f"host: {host}.localhost", *options,
                     f"http://127.0.0.1:{self.port}/"], self.environment)

    def reasons(self):
        """Why calls failed, as the data plane says: what was asked from outside, by reason."""
        # What was measured is fetched once a second.
        time.sleep(1.5)
        spans = json.loads(self.get("/v1/spans?errors=true&limit=1000"))
        failed = [it["error"] or str(it["status"]) for it in spans if ".localhost" in it["caller"]]
        return collections.Counter(failed)


class Load:
    def __init__(self, command, environment=None):
        self.popen = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True)

    def stop(self):
        """Ends it before its time, and returns what it found so far."""
        self.popen.send_signal(signal.SIGINT)
        return self.report()

    def report(self):
        out, err = self.popen.communicate(timeout=120)
        if self.popen.returncode != 0:
            raise Stopped(f"the load failed: {err}")
        return json.loads(out)


def row(*cells):
    print("| " + " | ".join(str(it) for it in cells) + " |", flush=True)


def table(title, *heads):
    print(f"\n**{title}**\n")
    row(*heads)
    row(*["---"] * len(heads))


def lost(report):
    """What was not answered as it should be."""
    bad = {status: count for status, count in report["statuses"].items() if status != "200"}
    bad.update(report["errors"])
    return ", ".join(f"{count} x {what}" for what, count in sorted(bad.items())) or "0"


def words(reasons):
    return ", ".join(f"{count} x {reason}" for reason, count in sorted(reasons.items())) or "-"


def slow(asked):
    with Platform(asked.pelago, slow=True) as platform:
        table(f"Ten instances, one takes {SLOW_MS} ms and not {USUAL_MS}: {asked.rate}/s, "
              f"median of {asked.rounds} rounds", "balance", "p50", "p90", "p99", "lost")
        seen = collections.defaultdict(list)
        for _ in range(asked.rounds):
            for rule in RULES:
                load = platform.load(rule, asked.rate, asked.seconds, "--warmup", "2s")
                seen[rule].append(load.report())
        for rule in RULES:
            latency = {key: statistics.median(it["service_time"][key] for it in seen[rule]) / 1e3
                       for key in ("p50_us", "p90_us", "p99_us")}
            failed = {lost(it) for it in seen[rule]}
            row(rule, *(f"{it:.1f} ms" for it in latency.values()), "; ".join(sorted(failed)))


def kill_all(platform):
    """Kills every instance of `back`, each when the one before has been replaced."""
    victims = platform.instances("back")
    for victim in victims:
        os.kill(victim["pid"], signal.SIGKILL)
        platform.until("a replacement", lambda it=victim: len(now := platform.instances("back")) == INSTANCES
                       and it["id"] not in [other["id"] for other in now])
        time.sleep(0.2)
    return len(victims)


def under_load(asked, happening, host, options=()):
    """One platform, load on it, and something that happens two seconds after its beginning."""
    with Platform(asked.pelago) as platform:
        load = platform.load(host, asked.rate, asked.seconds + 6, *options)
        time.sleep(2.0)
        count = happening(platform)
        if load.popen.poll() is not None:
            raise Stopped("the load ended before what was to happen under it")
        report = load.report()
        return report, count, platform.reasons()


def row_of_losses(what, outcome):
    report, count, reasons = outcome
    row(what, count, report["offered"], lost(report), words(reasons))


LOSSES = ["what happens", "times", "requests", "lost", "reasons"]


def instances(asked):
    table(f"`kill -9` of each of ten instances, {asked.rate}/s", *LOSSES)
    row_of_losses("GET", under_load(asked, kill_all, "peak-ewma"))
    row_of_losses("POST", under_load(asked, kill_all, "peak-ewma", ("-X", "POST", "-d", "tea")))
    row_of_losses("GET, over an edge", under_load(asked, kill_all, "front"))


def kill_control(platform):
    times = 5
    for _ in range(times):
        platform.control.kill()
        platform.control.wait()
        time.sleep(0.5)
        platform.start_control()
    return times


def control(asked):
    table(f"`kill -9` of control, {asked.rate}/s", *LOSSES)
    row_of_losses("half a second without, then a new one", under_load(asked, kill_control, "front"))


def restart(asked):
    def happening(platform):
        before = {it["id"] for service in ("front", "back") for it in platform.instances(service)}
        platform.run("restart")
        after = {it["id"] for service in ("front", "back") for it in platform.instances(service)}
        return len(after - before)

    table(f"`pelago restart` of both services, {asked.rate}/s", *LOSSES)
    row_of_losses("every instance replaced", under_load(asked, happening, "front"))


def reach(family, address):
    """A connection to a process that is starting."""
    deadline = time.monotonic() + WAIT_S
    while True:
        stream = socket.socket(family)
        try:
            stream.connect(address)
            return stream
        except OSError as error:
            stream.close()
            if deadline < time.monotonic():
                raise Stopped(f"nobody listens on {address}: {error}") from error
            time.sleep(0.02)


class Fed:
    """A data plane that is fed by this script, and synthetic instances."""

    def __init__(self, pelago, services=1):
        self.pelago, self.services = pelago, services
        self.folder = tempfile.mkdtemp(prefix="pemesh", dir="/tmp")
        self.ports = free_ports(INSTANCES + 1)
        self.gateway = self.ports.pop()
        self.started = []
        self.index, self.applied = 1, queue.Queue()
        self.feed = socket.socket(socket.AF_UNIX)

    def __enter__(self):
        try:
            self.begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def begin(self):
        behaviour = {"work": {"distribution": "fixed", "time": "1ms"}, "response": "1KiB"}
        for number, port in enumerate(self.ports, 1):
            self.start([self.pelago, "emulate"], PORT=str(port), PELAGO_SERVICE="back",
                       PELAGO_INSTANCE=f"back.{number}", PELAGO_BEHAVIOUR=json.dumps(behaviour))
        path = os.path.join(self.folder, "proxy.sock")
        self.start([self.pelago, "proxy", "--socket", path, "--gateway", f"127.0.0.1:{self.gateway}"])
        for port in self.ports:
            reach(socket.AF_INET, ("127.0.0.1", port)).close()
        self.feed = reach(socket.AF_UNIX, path)
        policy = {"timeout": "10s",
                  "retry": {"attempts": 2, "backoff": "25ms", "max_backoff": "250ms", "budget": "20%"},
                  "circuit_breaker": {"consecutive_errors": 5, "open_for": "10s"}}
        self.send({"table": {
            "index": 1, "edges": {},
            "backends": {f"mesh/{self.name(it)}": self.backend(it, range(INSTANCES))
                         for it in range(self.services)},
            "routes": {"mesh": [{"path": "/", "service": self.name(0), "resilience": policy}]}}})
        threading.Thread(target=self.listen, daemon=True).start()
        self.wait(1)

    def __exit__(self, *_):
        for process in reversed(self.started):
            process.terminate()
        for process in self.started:
            process.wait()
        self.feed.close()
        shutil.rmtree(self.folder)

    def start(self, command, **environment):
        with open(os.path.join(self.folder, "output.log"), "ab") as log:
            self.started.append(subprocess.Popen(command, env={**os.environ, **environment},
                                                 stdout=log, stderr=log))

    @staticmethod
    def name(service):
        return "back" if service == 0 else f"other{service}"

    def backend(self, service, numbers):
        name = self.name(service)
        return {"application": "mesh", "service": name, "protocol": "http", "endpoints": [
            {"instance": f"{name}.{it + 1}", "release": 1, "port": self.ports[it], "ready_at": 1}
            for it in numbers]}

    def send(self, message):
        text = json.dumps(message).encode()
        self.feed.sendall(struct.pack("<I", len(text)) + text)

    def change(self, numbers):
        """Says that these are the instances now; the index of that change."""
        self.index += 1
        self.send({"patch": {"index": self.index, "edges": {}, "routes": {},
                             "backends": {"mesh/back": self.backend(0, numbers)}}})
        return self.index

    def listen(self):
        reports = self.feed.makefile("rb")
        try:
            while header := reports.read(4):
                report = json.loads(reports.read(struct.unpack("<I", header)[0]))
                if "applied" in report:
                    self.applied.put((report["applied"]["index"], time.perf_counter()))
        except OSError:
            pass

    def wait(self, index):
        """When the data plane said that it routes by this index."""
        while True:
            applied, at = self.applied.get(timeout=WAIT_S)
            if applied >= index:
                return at

    def load(self, rate, seconds):
        return Load([self.pelago, "--format", "json", "load", "--rate", f"{rate}/s", "--duration",
                     f"{seconds}s", f"http://127.0.0.1:{self.gateway}/"])


def few(step):
    """Half of the instances, others each time."""
    return [(step + it) % INSTANCES for it in range(INSTANCES // 2)]


def swaps(asked):
    table(f"The table changed {SWAPS_PER_S} times a second, half of the instances others each time", *LOSSES)
    for rate in (asked.rate, asked.rate * 10):
        with Fed(asked.pelago) as fed:
            load = fed.load(rate, asked.seconds)
            began, count = time.monotonic(), 0
            while load.popen.poll() is None:
                fed.change(few(count))
                count += 1
                time.sleep(max(0.0, began + count / SWAPS_PER_S - time.monotonic()))
            row_of_losses(f"{rate}/s", (load.report(), count, {}))


def follows(asked):
    table("From an event being recorded to the data plane routing by it, while every instance is replaced "
          "again and again", "load", "changes", "p50", "p99")
    for rate in (0, asked.rate):
        with Platform(asked.pelago) as platform:
            rounds = 20
            load = platform.load("front", rate, 60) if rate else None
            for _ in range(rounds):
                platform.run("restart")
            said = re.search(r"follows within (\S+ ms) \(p99 (\S+ ms) of (\d+) changes", platform.run("doctor"))
            if load:
                load.stop()
            row(f"{rate}/s", said.group(3), said.group(1), said.group(2))


def changes(asked):
    table("From a change being sent to `Applied`", "table", "load", "changes", "p50", "p99", "most")
    for services in (1, 100):
        for rate in (0, asked.rate * 2):
            with Fed(asked.pelago, services) as fed:
                load = fed.load(rate, asked.seconds) if rate else None
                taken = []
                for step in range(500):
                    began = time.perf_counter()
                    taken.append((fed.wait(fed.change(few(step))) - began) * 1e3)
                    time.sleep(0.005)
                if load:
                    load.report()
                taken.sort()
                row(f"{services} x {INSTANCES} instances", f"{rate}/s", len(taken),
                    *(f"{taken[int(len(taken) * it) - 1]:.2f} ms" for it in (0.5, 0.99, 1)))


ALL = {it.__name__: it for it in (slow, instances, control, restart, swaps, follows, changes)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(ALL), help="what to measure, with commas between")
    parser.add_argument("--rate", type=int, default=500, help="requests a second")
    parser.add_argument("--seconds", type=int, default=8, help="load of a measurement")
    parser.add_argument("--rounds", type=int, default=3, help="of `slow`")
    parser.add_argument("--pelago", default=os.path.join(ROOT, "target/release/pelago"))
    asked = parser.parse_args()
    asked.pelago = os.path.abspath(asked.pelago)
    if not os.access(asked.pelago, os.X_OK):
        sys.exit(f"there is no {asked.pelago}: cargo build --release")
    unknown = [it for it in asked.only.split(",") if it not in ALL]
    if unknown:
        sys.exit(f"unknown: {', '.join(unknown)}; there are {', '.join(ALL)}")
    try:
        for name in asked.only.split(","):
            ALL[name](asked)
    except Stopped as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
