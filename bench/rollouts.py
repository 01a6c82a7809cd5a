#!/usr/bin/env python3
"""Releases under load: what a rollout costs those who ask, how soon a bad release is gone, and what is left.

    cargo build --release && python3 bench/rollouts.py [--only strategies,bad,rollback,deploys]

Every figure is of the real platform, `pelago up` in a data folder of its own, and `pelago load` through its
gateway.

  strategies  every way for a release to take over, and back: what is lost
  bad         releases that should not have been made: how soon each is rejected, and who met an error
  rollback    from the command to the last answer of the release that it takes away
  deploys     a thousand deploys of one service in a row: time, disk, processes and memory

Everything listens on loopback, and everything that was started is stopped.
"""

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time

from mesh import Load, Platform, lost, row, table
from proxies import Stopped

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CANARY = "{strategy: canary, steps: [{weight: 10%}, {weight: 50%}], keep_old: 3s, analysis: {warm_up: 1s}}"
WELL = "behaviour: {work: {p50: 2ms, p99: 10ms}}"
BAD = {
    "crashes at start": "command: /bin/sh -c 'exit 1'",
    "is never healthy": "command: sleep 1000\n    healthcheck: {path: /health, interval: 100ms, start_period: 1s}",
    "fails 5 % of requests": "behaviour: {work: {p50: 2ms, p99: 10ms}, errors: 5%}",
    "fails 50 % of requests": "behaviour: {work: {p50: 2ms, p99: 10ms}, errors: 50%}",
    "is slower at the tail (p99 10 ms -> 20 ms)": "behaviour: {work: {p50: 2ms, p99: 20ms}}",
    "leaks until it is killed": "artifact: ./leak\n    command: /bin/sh main.sh\n    limits: {memory: 64MiB}",
}


def manifest(service, update):
    return f"""name: shop
services:
  web:
    {service}
    replicas: 4
    restart: {{backoff: 50ms}}
    update: {update}
routes: [{{service: web}}]
"""


class Shop(Platform):
    """The platform with one service."""

    def __init__(self, pelago, service=WELL, update=CANARY):
        super().__init__(pelago)
        os.mkdir(os.path.join(self.folder, "leak"))
        os.mkdir(os.path.join(self.folder, "files"))
        with open(os.path.join(self.folder, "leak", "main.sh"), "w", encoding="utf-8") as file:
            file.write("sleep 0.3\ntail /dev/zero\n")
        self.describe(service, update)

    def describe(self, service, update):
        with open(os.path.join(self.folder, "pelago.yaml"), "w", encoding="utf-8") as file:
            file.write(manifest(service, update))

    def asked(self, rate, seconds):
        return Load([self.pelago, "--format", "json", "load", "--rate", f"{rate}/s", "--duration",
                     f"{seconds}s", f"http://127.0.0.1:{self.port}/"], self.environment)

    def rollout(self):
        return json.loads(self.get("/v1/rollouts"))[0]

    def follow(self, *arguments):
        """A command that may end badly, and what it said."""
        done = subprocess.run([self.pelago, *arguments], cwd=self.folder, env=self.environment,
                              capture_output=True, text=True, timeout=600, check=False)
        return done.returncode, done.stdout + done.stderr

    def happened(self, text, after=0):
        events = json.loads(self.get(f"/v1/events?after={after}&limit=1000"))
        return any(text in it["text"] for it in events)

    def index(self):
        return json.loads(self.get("/v1/status"))["index"]


def strategies(asked):
    table(f"A release takes over, {asked.rate}/s through the gateway", "what happens", "took", "requests", "lost")
    for what in ("rolling", "bluegreen", "canary", "immediate"):
        with Shop(asked.pelago) as shop:
            load = shop.asked(asked.rate, 60)
            time.sleep(4)
            began = time.monotonic()
            code, said = shop.follow("deploy", "web", "--force", "--strategy", what)
            took = time.monotonic() - began
            if code != 0:
                raise Stopped(said)
            shop.run("rollback", "web")
            shop.run("scale", "web=6")
            shop.run("scale", "web=3")
            report = load.report()
            row(f"{what}, rollback, scale 4 -> 6 -> 3", f"{took:.1f} s", report["offered"], lost(report))
    with Shop(asked.pelago) as shop:
        load = shop.asked(asked.rate, 15)
        time.sleep(4)
        for _ in range(5):
            index = shop.index()
            shop.run("deploy", "web", "--force", "--detach")
            shop.until("traffic", lambda it=index: shop.happened("takes the traffic", it))
            shop.run("rollback", "web")
        report = load.report()
        row("canary, rolled back in its first step, 5 times", "-", report["offered"], lost(report))


def bad(asked):
    table(f"Bad releases, {asked.rate}/s through the gateway, first step 10 %", "release", "rejected after", "because",
          "requests to it", "who met an error", "lost of all")
    for what, service in BAD.items():
        with Shop(asked.pelago) as shop:
            load = shop.asked(asked.rate, 120)
            time.sleep(6)
            shop.describe(service, CANARY)
            began = time.monotonic()
            code, said = shop.follow("deploy", "web")
            took = time.monotonic() - began
            view = shop.rollout()
            if code == 0 or view["state"] != "rejected":
                raise Stopped(f"{what} was not rejected: {said}")
            found = load.stop()
            row(what, f"{took:.1f} s", view["reason"], view["new"]["judged"], view["harmed"], lost(found))


def last_answers(shop, answers, stop):
    """Asks again and again on one connection; notes who answered and when."""
    with socket.create_connection(("127.0.0.1", shop.port)) as stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = stream.makefile("rb")
        while not stop.is_set():
            stream.sendall(b"GET / HTTP/1.1\r\nhost: shop\r\n\r\n")
            length = 0
            while (line := reader.readline()) not in (b"\r\n", b""):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            body = reader.read(length)
            found = re.search(rb'"instance":"([^"]+)"', body)
            answers.append((time.monotonic(), found.group(1).decode() if found else ""))


def rollback(asked):
    taken, whole = [], []
    with Shop(asked.pelago, update="{strategy: bluegreen, keep_old: 1h}") as shop:
        load = shop.asked(asked.rate, asked.times * 3 + 60)
        stop, answers = threading.Event(), []
        askers = [threading.Thread(target=last_answers, args=(shop, answers, stop)) for _ in range(4)]
        for it in askers:
            it.start()
        try:
            for _ in range(asked.times):
                index = shop.index()
                shop.run("deploy", "web", "--force", "--detach")
                shop.until("traffic", lambda it=index: shop.happened("takes the traffic", it))
                time.sleep(0.3)
                new = {it["id"] for it in shop.instances("web") if it["release"] != "r1"}
                answers.clear()
                began = time.monotonic()
                shop.run("rollback", "web")
                ended = time.monotonic()
                time.sleep(0.3)
                last = max((at for at, instance in answers if instance in new), default=began)
                taken.append(max(last - began, 0.0) * 1e3)
                whole.append((ended - began) * 1e3)
        finally:
            stop.set()
            for it in askers:
                it.join()
        report = load.stop()
    taken.sort()
    whole.sort()
    table(f"From `pelago rollback` to the last answer of the release it takes away, {asked.rate}/s beside", "times",
          "p50", "p99", "most", "the command itself, p50", "lost of all")
    at = lambda of, share: of[min(int(len(of) * share), len(of) - 1)]
    row(len(taken), f"{at(taken, .5):.1f} ms", f"{at(taken, .99):.1f} ms", f"{taken[-1]:.1f} ms",
        f"{at(whole, .5):.1f} ms", lost(report))


def size(folder):
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                pass
    return total


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1)) / 1024


def processes(data):
    count = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                count += data.encode() in file.read()
        except OSError:
            pass
    return count


def deploys(asked):
    table("One service deployed again and again, each time with other files (bluegreen, `keep_old: 0s`)", "deploys",
          "a deploy", "data folder", "of it journal", "releases with files", "instance folders", "processes",
          "control's memory")
    with Shop(asked.pelago, "artifact: ./files\n    command: sleep 1000",
              "{strategy: bluegreen, keep_old: 0s}") as shop:
        files = os.path.join(shop.folder, "files")
        began, before = time.monotonic(), 0
        for count in range(1, asked.deploys + 1):
            with open(os.path.join(files, "version"), "w", encoding="utf-8") as file:
                file.write(str(count))
            shop.run("deploy", "web", "--detach")
            if count in (10, 100, 300, asked.deploys):
                each = (time.monotonic() - began) / (count - before)
                time.sleep(3)
                inside = lambda name: os.path.join(shop.data, name)
                journal = sum(size_of(inside(it)) for it in os.listdir(shop.data) if it.startswith("journal"))
                row(count, f"{each * 1e3:.0f} ms", f"{size(shop.data) / 1e6:.1f} MB", f"{journal / 1e6:.1f} MB",
                    len(os.listdir(inside("artifacts/releases"))), len(os.listdir(inside("instances/shop"))),
                    processes(shop.data), f"{resident(shop.control.pid):.1f} MiB")
                began, before = time.monotonic(), count


def size_of(path):
    return size(path) if os.path.isdir(path) else os.path.getsize(path)


ALL = {it.__name__: it for it in (strategies, bad, rollback, deploys)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(ALL), help="what to measure, with commas between")
    parser.add_argument("--rate", type=int, default=300, help="requests a second")
    parser.add_argument("--times", type=int, default=100, help="rollbacks")
    parser.add_argument("--deploys", type=int, default=1000, help="deploys")
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
