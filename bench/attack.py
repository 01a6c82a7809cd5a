#!/usr/bin/env python3
"""One ordinary client beside ten attackers, kind by kind, at the gateway and over a declared call: what does it notice?

    cargo build --release && scripts/clients && target/clients/bin/python bench/attack.py [--turns 3] [--only flood,idle]

A service of two instances is asked by a victim at a steady, open-loop rate; how long an answer takes is counted from when its request
was due, so that what is late because others were is counted too. In each turn, for each kind, the victim is measured alone, then
beside ten clients in one process that compute as much as ten attackers do and send nothing, and then beside ten attackers (which go first
in the first turn, since what they use is only known then). What attackers send is bounded in rate and sum: see bench/attack_clients.py.

  window-large, -small, -calls   HTTP/2 with a window of zero that never opens: 6 answers of 10 MB, 100 of 128 bytes, 6 calls of gRPC
  window-limited                 the first, at a route and a call with `max_concurrency: 20`
  unread, unread-h2              6 answers of 10 MB of which nothing is read, each on a connection of its own or all on one
  stalled-calls, -own, -uploads  4 uploads that no instance reads, on one connection of gRPC (own: the victim's), or over HTTP/1.1
  slow-heads, -uploads           10 connections each, five bytes of a head a second, or 300 of a body; too-slow: 5 of a body
  deadlines, -calls              20 requests a second each with a deadline of 5 ms, for what takes 40 ms
  flood, idle                    100 requests a second each; 100 connections each
  resets, pings, settings        HTTP/2: 100 streams begun and reset, 500 PINGs, 500 SETTINGS a second each
  huge-heads, -h2                10 heads of 256 KiB a second each
  refused-uploads                5 bodies a second each that are too large, of which a megabyte is sent if it is taken

Everything listens on loopback, and everything that was started is stopped.
"""

import argparse
import collections
import itertools
import json
import os
import statistics
import subprocess
import sys
import time

from mesh import ROOT, row, table
from proxies import Stopped
from running import Application

LEAD_S, COMPUTE_LEAD_S, REST_S = 1.5, 0.5, 0.5
CLIENTS = os.path.join(ROOT, "bench/attack_clients.py")
GATEWAY, CALL = "gateway", "call"
SHARE_LEAST = 0.001


class Kind:
    """An attack: which client does it, what it goes to, and what the victim asks for meanwhile."""

    def __init__(self, client, to="web", victim="quick", ways=(GATEWAY, CALL), stalled=0):
        self.client, self.to, self.victim, self.ways, self.stalled = client, to, victim, ways, stalled


KINDS = {
    "window-large": Kind("window_large"),
    "window-small": Kind("window_small"),
    "window-calls": Kind("window_calls", to="calls", victim="Quick"),
    "window-limited": Kind("window_large", to="limited"),
    "unread": Kind("unread"),
    "unread-h2": Kind("unread_frames"),
    "stalled-calls": Kind("stalled_calls", to="calls", victim="Quick"),
    "stalled-own": Kind("stalled_calls", to="calls", victim="Quick", stalled=4),
    "stalled-uploads": Kind("stalled_uploads"),
    "slow-heads": Kind("slow_heads"),
    "slow-uploads": Kind("slow_uploads"),
    "too-slow-uploads": Kind("too_slow_uploads"),
    "deadlines": Kind("deadlines", victim="slow"),
    "deadlines-calls": Kind("deadlines_calls", to="calls", victim="Slow"),
    "flood": Kind("flood"),
    "idle": Kind("idle"),
    "resets": Kind("resets"),
    "pings": Kind("pings"),
    "settings": Kind("settings"),
    "huge-heads": Kind("huge_heads"),
    "huge-heads-h2": Kind("huge_frames"),
    "refused-uploads": Kind("refused_uploads", to="small"),
}


def manifest():
    """Two services; three callers of one of them, since a call has one policy."""
    program = f"replicas: 2, artifact: ./program, command: [{sys.executable}, attack_services.py"
    limits = {"web": "{}", "small": "{max_body: 1KiB}", "limited": "{max_concurrency: 20}"}
    callers = "\n".join(f"  call-{name}: {{command: sleep 1000000, healthcheck: none, calls: {{web: {limit}}}}}"
                        for name, limit in limits.items())
    routes = "\n".join(f"  - {{host: {name}.localhost, service: web, resilience: {limit}}}"
                       for name, limit in limits.items())
    return f"""name: attack
defaults:
  healthcheck: {{tcp: true, interval: 1s}}
  resilience: {{timeout: 1m, circuit_breaker: {{edge_error_rate: 80%}}}}
services:
  web: {{{program}, web]}}
  calls: {{{program}, calls], protocol: grpc}}
{callers}
  call-calls: {{command: sleep 1000000, healthcheck: none, calls: [calls]}}
routes:
{routes}
  - {{host: calls.localhost, service: calls}}
"""


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Window:
    """What a victim measured: its percentiles, and what was not answered as it should be."""

    def __init__(self, report):
        latency = report.get("latency", report)
        self.p50_ms, self.p99_ms = latency["p50_us"] / 1e3, latency["p99_us"] / 1e3
        self.offered = report["offered"]
        self.failed = collections.Counter({f"{status}": count for status, count in report.get("statuses", {}).items()
                                           if status != "200"})
        self.failed.update({error: count for error, count in report["errors"].items() if count})


class Case:
    """One kind by one way, and everything measured of it."""

    def __init__(self, asked, application, name, way):
        self.asked, self.application, self.name, self.way = asked, application, name, way
        self.kind = KINDS[name]
        self.host = f"{self.kind.to}.localhost"
        callee = "calls" if self.kind.to == "calls" else "web"
        self.port = application.gateway if way == GATEWAY else application.call(callee, f"call-{self.kind.to}")
        self.quiet, self.beside, self.computing = [], [], []
        self.used, self.plane_used = [], []
        self.seen = collections.Counter()

    def client(self, kind, seconds, *options):
        return subprocess.Popen([sys.executable, CLIENTS, kind, "--port", str(self.port), "--host", self.host,
                                 "--seconds", str(seconds), *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def measure(self, stalled=0):
        """The victim, for a window."""
        seconds = self.asked.seconds
        if self.kind.to == "calls":
            started = self.client("victim", seconds, "--rate", str(self.asked.rate), "--method", self.kind.victim,
                                  "--stalled", str(stalled))
        else:
            started = subprocess.Popen(
                [self.asked.pelago, "--format", "json", "load", "--paced", "--rate", f"{self.asked.rate}/s", "--duration",
                 f"{seconds}s", "--header", f"host: {self.host}", f"http://127.0.0.1:{self.port}/{self.kind.victim}"],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return Window(told(started))

    def attack(self):
        (plane,) = self.application.data_planes()
        seconds = LEAD_S + self.asked.seconds + 0.5
        attackers = self.client(self.kind.client, seconds)
        try:
            time.sleep(LEAD_S)
            before, began = cpu_s(plane), time.monotonic()
            self.beside.append(self.measure(self.kind.stalled))
            self.plane_used.append((cpu_s(plane) - before) / (time.monotonic() - began))
            report = told(attackers)
        finally:
            attackers.kill()
            attackers.wait()
        self.used.append(report["cpu_s"] / seconds)
        self.seen.update(report["seen"])

    def compute(self):
        share = max(SHARE_LEAST, self.used[-1])
        others = self.client("compute", COMPUTE_LEAD_S + self.asked.seconds + 0.5, "--share", str(share))
        try:
            time.sleep(COMPUTE_LEAD_S)
            self.computing.append(self.measure())
            told(others)
        finally:
            others.kill()
            others.wait()

    def turn(self):
        self.quiet.append(self.measure())
        order = [self.compute, self.attack] if self.used else [self.attack, self.compute]
        for step in order:
            step()
            time.sleep(REST_S)

    def failures(self, windows):
        failed = sum((it.failed for it in windows), collections.Counter())
        return ", ".join(f"{count} x {what}" for what, count in sorted(failed.items())) or "0"

    def row(self):
        quiet, computing, beside = (statistics.median(it.p99_ms for it in windows)
                                    for windows in (self.quiet, self.computing, self.beside))
        seen = ", ".join(f"{count // 1_000_000} MB sent" if what == "bytes sent" else f"{count} x {what}"
                         for what, count in sorted(self.seen.items())) or "-"
        others = self.failures(self.quiet + self.computing)
        failed = self.failures(self.beside) + (f" (and {others} without attackers)" if others != "0" else "")
        row(self.name, self.way, f"{statistics.median(it.p50_ms for it in self.quiet):.1f}",
            f"{statistics.median(it.p50_ms for it in self.beside):.1f}", f"{quiet:.1f}", f"{computing:.1f}", f"{beside:.1f}",
            f"{beside / quiet:.1f}", f"{beside / computing:.1f}", sum(it.offered for it in self.beside), failed,
            f"{statistics.median(self.used):.2f}", f"{statistics.median(self.plane_used):.2f}", seen)


def told(process):
    out, err = process.communicate(timeout=120)
    if process.returncode != 0:
        raise Stopped(f"{' '.join(process.args)} failed: {err}")
    return json.loads(out)


def measured(asked, names):
    with Application(asked.pelago, manifest(), os.path.join(ROOT, "bench/attack_services.py")) as application:
        cases = [Case(asked, application, name, way) for name in names for way in KINDS[name].ways]
        try:
            for turn, case in itertools.product(range(asked.turns), cases):
                case.turn()
                print(f"turn {turn + 1}: {case.name}, {case.way}: p99 {case.quiet[-1].p99_ms:.1f} ms, computing "
                      f"{case.computing[-1].p99_ms:.1f}, attacked {case.beside[-1].p99_ms:.1f}, lost "
                      f"{case.failures(case.beside)}; load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            print("interrupted: this is what was measured", file=sys.stderr, flush=True)
        table(f"A victim at {asked.rate}/s beside ten attackers, {asked.turns} turns of {asked.seconds:g} s", "kind", "by",
              "p50 alone, ms", "p50 beside", "p99 alone, ms", "p99 beside ten that compute as much", "p99 beside", "times alone",
              "times computing", "requests beside", "lost", "attackers' CPU, cores", "data plane's", "attackers saw")
        for case in cases:
            if case.computing and case.beside:
                case.row()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(KINDS), help="which kinds, with commas between")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="of a measurement")
    parser.add_argument("--rate", type=int, default=100, help="the victim's requests a second")
    parser.add_argument("--pelago", default=os.path.join(ROOT, "target/release/pelago"))
    asked = parser.parse_args()
    asked.pelago = os.path.abspath(asked.pelago)
    if not os.access(asked.pelago, os.X_OK):
        sys.exit(f"there is no {asked.pelago}: cargo build --release")
    names = asked.only.split(",")
    unknown = [it for it in names if it not in KINDS]
    if unknown:
        sys.exit(f"unknown: {', '.join(unknown)}; there are {', '.join(KINDS)}")
    try:
        measured(asked, names)
    except Stopped as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
