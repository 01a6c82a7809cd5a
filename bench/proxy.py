#!/usr/bin/env python3
"""Pelago's data plane beside nginx, HAProxy and Caddy: what a request costs.

    cargo build --release && python3 bench/proxy.py [--without caddy] [--only h1-64-128B,grpc]

Needs nginx (it is also the upstream), haproxy, caddy, wrk, h2load, nghttpd and openssl, from Debian:
    apt-get install nginx haproxy caddy wrk nghttp2-client nghttp2-server openssl

Every proxy has one worker, pinned to core 1; the load and the two upstreams share core 0. Each round
starts them anew and measures every case with one after the other; figures are medians over rounds, and
ratios are medians of the ratios within a round, so that what else the machine does falls on all alike.
CPU is user and kernel time of the proxy's processes, from /proc, per 100 000 requests. All listen on
loopback, and everything that was started is stopped.
"""

import argparse
import json
import math
import os
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import proxies

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
IDLE_CONNECTIONS = 2000
FIXED_LOAD = "half-load"
IDLE = "idle"
# What is needed beside the proxies, and the Debian package it is in.
PROGRAMS = {"nginx": "nginx", "wrk": "wrk", "h2load": "nghttp2-client", "nghttpd": "nghttp2-server",
            "openssl": "openssl"}
CALL_HEADERS = ["content-type: application/grpc", "te: trailers"]


class Case:
    """What is asked of each proxy."""

    def __init__(self, name, meaning, kind, **shape):
        self.name, self.meaning, self.kind, self.shape = name, meaning, kind, shape


CASES = [
    Case(IDLE, f"{IDLE_CONNECTIONS} idle HTTP/1.1 connections after a request each", "idle"),
    Case("h1-64-128B", "HTTP/1.1, 64 connections, 128 bytes", "wrk", connections=64, path="/"),
    Case("h1-256-128B", "HTTP/1.1, 256 connections, 128 bytes", "wrk", connections=256, path="/"),
    Case("h1-64-64KiB", "HTTP/1.1, 64 connections, 64 KiB", "wrk", connections=64, path="/large"),
    Case("h1-256-64KiB", "HTTP/1.1, 256 connections, 64 KiB", "wrk", connections=256, path="/large"),
    Case("h2-128B", "HTTP/2, 16 connections of 16 streams, 128 bytes, HTTP/1.1 upstream", "h2load",
         port="h2", path="/"),
    Case("tls-h1-128B", "TLS, HTTP/1.1, 64 connections, 128 bytes", "wrk", connections=64, path="/",
         tls=True),
    Case("tls-h2-128B", "TLS, HTTP/2, 16 connections of 16 streams, 128 bytes", "h2load", port="tls",
         path="/"),
    Case("grpc", "gRPC-like: HTTP/2 on both sides, 128-byte POST, trailers", "h2load", port="h2",
         path="/call.grpc"),
    Case(FIXED_LOAD, "HTTP/1.1 at half of what nginx does, open loop", "load", path="/"),
]


def on_load_core():
    os.sched_setaffinity(0, {proxies.LOAD_CORE})


def run(command, proxy):
    """Runs a load generator beside the proxy; its output and the most memory the proxy used."""
    load = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            preexec_fn=on_load_core)
    most = 0
    while True:
        try:
            out, err = load.communicate(timeout=0.25)
            break
        except subprocess.TimeoutExpired:
            most = max(most, proxy.rss_kib() if proxy else 0)
    if load.returncode != 0:
        raise proxies.Stopped(f"{' '.join(command)} failed:\n{out}{err}")
    return out, most


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}[unit]


def quantile(values, q):
    return values[min(len(values) - 1, max(0, math.ceil(q * len(values)) - 1))]


class TooSlow(Exception):
    """A proxy that the fixed load is too much for."""


class Bench:
    """One round: every upstream and proxy, started anew."""

    def __init__(self, asked, folder):
        self.asked, self.folder = asked, folder
        self.started = []
        self.certificate = self.make_certificate()
        self.web = [self.start(proxies.Web, f"web{it}") for it in range(2)]
        self.calls = [self.start(proxies.Calls, f"calls{it}") for it in range(2)]
        self.proxies = []

    def make_certificate(self):
        certificate, key = (os.path.join(self.folder, it) for it in ("cert.pem", "key.pem"))
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
             "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate],
            check=True, capture_output=True)
        return certificate, key

    def start(self, kind, name, *more):
        process = kind(os.path.join(self.folder, name), *more)
        self.started.append(process)
        return process

    def start_proxies(self, kinds):
        for kind in kinds:
            proxy = self.start(kind, kind.name, self.web, self.calls, self.certificate)
            proxy.ready()
            self.proxies.append(proxy)

    def stop(self):
        for process in reversed(self.started):
            process.stop()

    def measure(self, case, proxy, rate):
        """The figures of one case with one proxy."""
        if case.kind == "idle":
            return self.idle(proxy)
        seconds = self.asked.seconds
        began, cpu = time.monotonic(), proxy.cpu_s() if proxy else 0.0
        figures = {"wrk": self.wrk, "h2load": self.h2load, "load": self.load}[case.kind](
            case, proxy, seconds, rate)
        if proxy:
            proxy.check()
            cpu = proxy.cpu_s() - cpu
            figures["cpu_s"] = cpu / figures.pop("requests") * 1e5
            figures["busy"] = cpu / (time.monotonic() - began)
        return figures

    def wrk(self, case, proxy, seconds, _rate):
        scheme, port = ("https", proxy.tls) if case.shape.get("tls") else ("http", proxy.h1)
        out, rss = run([shutil.which("wrk"), "-t1", f"-c{case.shape['connections']}",
                        f"-d{seconds}s", "--latency",
                        f"{scheme}://127.0.0.1:{port}{case.shape['path']}"], proxy)
        found = dict(re.findall(r"^\s+(50|99)%\s+(\S+)$", out, re.MULTILINE))
        requests = int(re.search(r"(\d+) requests in", out).group(1))
        wrong = re.search(r"Socket errors: (.*)|Non-2xx.*: (\d+)", out)
        if wrong or not requests:
            raise proxies.Stopped(f"{case.name} with {proxy.name}: {out}")
        return {"requests": requests, "rate": float(re.search(r"Requests/sec:\s+(\S+)", out).group(1)),
                "p50_ms": milliseconds(found["50"]), "p99_ms": milliseconds(found["99"]), "rss_kib": rss}

    def h2load(self, case, proxy, seconds, _rate):
        port = getattr(proxy, case.shape["port"])
        scheme = "https" if case.shape["port"] == "tls" else "http"
        log = os.path.join(self.folder, "h2load.log")
        body = []
        if case.shape["path"] == "/call.grpc":
            payload = os.path.join(self.folder, "payload")
            proxies.write(payload, "x" * proxies.SMALL)
            body = ["-d", payload] + [part for it in CALL_HEADERS for part in ("-H", it)]
        out, rss = run([shutil.which("h2load"), "-t1", "-c16", "-m16", f"-D{seconds}",
                        f"--log-file={log}", *body,
                        f"{scheme}://127.0.0.1:{port}{case.shape['path']}"], proxy)
        done, failed, errored = (int(re.search(rf"(\d+) {it}", out).group(1))
                                 for it in ("succeeded", "failed", "errored"))
        if not done or failed or errored or re.search(r"[1-9]\d* [345]xx", out):
            raise proxies.Stopped(f"{case.name} with {proxy.name}: {out}")
        with open(log, encoding="utf-8") as file:
            times_ms = sorted(int(line.split("\t")[2]) / 1e3 for line in file)
        os.remove(log)
        return {"requests": done, "rate": float(re.search(r"([\d.]+) req/s", out).group(1)),
                "p50_ms": quantile(times_ms, 0.5), "p99_ms": quantile(times_ms, 0.99), "rss_kib": rss}

    def load(self, case, proxy, seconds, rate):
        port = proxy.h1 if proxy else self.web[0].port
        out, rss = run([self.asked.pelago, "--format", "json", "load", "--rate", f"{rate:.0f}/s",
                        "--duration", f"{seconds + 1}s", "--warmup", "1s", "--connections", "256",
                        f"http://127.0.0.1:{port}{case.shape['path']}"], proxy)
        report = json.loads(out)
        if set(report["statuses"]) == {"200"} and set(report["errors"]) <= {"timeout", "no_connection"} \
                and report["errors"]:
            raise TooSlow(f"{case.name}: {proxy and proxy.name} does not keep up")
        if report["errors"] or set(report["statuses"]) != {"200"}:
            raise proxies.Stopped(f"{case.name} with {proxy and proxy.name}: {out}")
        latency = report["service_time"]
        return {"requests": report["answered"] + report["warmup"], "rate": report["answered_per_s"],
                "p50_ms": latency["p50_us"] / 1e3, "p99_ms": latency["p99_us"] / 1e3, "rss_kib": rss,
                "generator_busy": report["busy_percent"]}

    def idle(self, proxy):
        request = b"GET / HTTP/1.1\r\nhost: bench\r\n\r\n"

        def connect():
            stream = socket.create_connection(("127.0.0.1", proxy.h1), 5)
            stream.sendall(request)
            answer = b""
            while not answer.endswith(b"x" * proxies.SMALL):
                block = stream.recv(65536)
                if not block:
                    raise proxies.Stopped(f"{proxy.name} closed a connection")
                answer += block
            return stream

        # The first connections make what is there once, not once for each.
        held = [connect() for _ in range(64)]
        time.sleep(0.3)
        before = proxy.rss_kib()
        try:
            held.extend(connect() for _ in range(IDLE_CONNECTIONS))
            time.sleep(0.5)
            after = proxy.rss_kib()
        finally:
            for it in held:
                it.close()
        time.sleep(0.3)
        return {"rss_kib": after, "per_connection_kib": (after - before) / IDLE_CONNECTIONS}


def one_round(asked, kinds, cases, results):
    folder = tempfile.mkdtemp(prefix="pelago-proxies-")
    os.chmod(folder, 0o755)
    bench = None
    try:
        bench = Bench(asked, folder)
        bench.start_proxies(kinds)
        rate = asked.rate
        for case in cases:
            if case.kind == "load":
                if not os.access(asked.pelago, os.X_OK):
                    print(f"{case.name} is left out: there is no {asked.pelago}", file=sys.stderr)
                    continue
                rate = rate or baseline_rate(bench, asked)
            for proxy in ([None] if case.kind == "load" else []) + bench.proxies:
                try:
                    figures = bench.measure(case, proxy, rate)
                except TooSlow as slow:
                    print(slow, file=sys.stderr)
                    continue
                name = proxy.name if proxy else "no proxy"
                results.setdefault(case.name, {}).setdefault(name, []).append(figures)
                shown = "  ".join(f"{key} {value:.3f}" for key, value in figures.items())
                print(f"{case.name:<14} {name:<9} {shown}", file=sys.stderr, flush=True)
    finally:
        if bench:
            bench.stop()
        shutil.rmtree(folder)


def baseline_rate(bench, asked):
    """Half of what nginx, or else the first proxy, does with 64 connections."""
    proxy = next((it for it in bench.proxies if it.name == "nginx"), bench.proxies[0])
    shape = Case("baseline", "", "wrk", connections=64, path="/")
    return bench.wrk(shape, proxy, asked.seconds, None)["rate"] / 2


def median(rows, key):
    values = [it[key] for it in rows if key in it]
    return statistics.median(values) if values else None


def ratio(rows, base, key):
    """The median of the ratios within each round."""
    pairs = [it[key] / other[key] for it, other in zip(rows, base or []) if other.get(key)]
    return f"{statistics.median(pairs):.2f}" if pairs else "-"


def report(results, cases):
    """Markdown, ready for BENCHMARKS.md."""
    for case in cases:
        found = results.get(case.name)
        if not found:
            continue
        print(f"\n**{case.meaning}**\n")
        if case.kind == "idle":
            print("| proxy | memory a connection | RSS |\n| --- | --- | --- |")
            for name, rows in found.items():
                print(f"| {name} | {median(rows, 'per_connection_kib'):.2f} KiB "
                      f"| {median(rows, 'rss_kib') / 1024:.1f} MiB |")
            continue
        print("| proxy | CPU s / 100k | of nginx's | of HAProxy's | core busy | requests/s | p50 ms "
              "| p99 ms | RSS |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
        for name, rows in found.items():
            latency = f"{median(rows, 'p50_ms'):.2f} | {median(rows, 'p99_ms'):.2f}"
            rate = f"{median(rows, 'rate'):,.0f}".replace(",", " ")
            if name == "no proxy":
                print(f"| {name} | | | | | {rate} | {latency} | |")
                continue
            print(f"| {name} | {median(rows, 'cpu_s'):.2f} | {ratio(rows, found.get('nginx'), 'cpu_s')} "
                  f"| {ratio(rows, found.get('haproxy'), 'cpu_s')} | {median(rows, 'busy'):.0%} | {rate} "
                  f"| {latency} | {median(rows, 'rss_kib') / 1024:.1f} MiB |")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, epilog="cases: " + "; ".join(
        f"{it.name}: {it.meaning}" for it in CASES), formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="load a case, proxy and round")
    parser.add_argument("--only", default="", help="cases, with commas between")
    parser.add_argument("--without", default="", help="proxies, with commas between")
    parser.add_argument("--rate", type=float, help=f"requests a second of {FIXED_LOAD}")
    parser.add_argument("--pelago", default=os.path.join(ROOT, "target/release/pelago"))
    parser.add_argument("--json", help="file to write every measurement to")
    asked = parser.parse_args()
    asked.pelago = os.path.abspath(asked.pelago)
    return asked


def main():
    asked = arguments()
    without = [it for it in asked.without.split(",") if it]
    proxies.Pelago.path = asked.pelago
    kinds = [it for it in proxies.ALL if it.name not in without]
    only = [it for it in asked.only.split(",") if it]
    unknown = [it for it in only if it not in [case.name for case in CASES]]
    unknown += [it for it in without if it not in [kind.name for kind in proxies.ALL]]
    if unknown:
        raise SystemExit(f"unknown: {', '.join(unknown)}; see --help")
    cases = [it for it in CASES if not only or it.name in only]
    packages = [it.package for it in kinds if it.package and not it.program()]
    packages += [package for program, package in PROGRAMS.items() if not shutil.which(program)]
    if packages:
        raise SystemExit(f"missing: apt-get install {' '.join(sorted(set(packages)))} (or leave proxies out with --without)")
    if proxies.Pelago in kinds and not proxies.Pelago.program():
        raise SystemExit(f"there is no {asked.pelago}: cargo build --release (or --without pelago)")
    if len(os.sched_getaffinity(0)) < 2:
        raise SystemExit("two cores are needed: one for the proxy, one for all else")
    # Connections of the idle case, on this side; and HAProxy wants two for every client.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    results = {}
    try:
        for number in range(asked.rounds):
            print(f"round {number + 1} of {asked.rounds}", file=sys.stderr, flush=True)
            one_round(asked, kinds, cases, results)
    except proxies.Stopped as error:
        raise SystemExit(f"error: {error}") from error
    report(results, cases)
    if asked.json:
        with open(asked.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
