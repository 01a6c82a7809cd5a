#!/usr/bin/env python3
"""Predictions beside reality: the same synthetic application run and simulated, edge by edge.

    cargo build --release && python3 bench/reality.py [--seconds 30] [--only chain,fan-out,shop]

Three architectures, five loads each up to the knee. Each is brought up for real (`pelago up`, its services are
processes, every call crosses the data plane), loaded by `pelago load` through the gateway, and simulated by `pelago sim run`
from the same file. Compared are goodput, the mean of every edge (the data plane's own sums) and its 99th percentile (the data
plane's histograms), and those of the client.

What a hop costs (the data plane, the kernel, waking up the emulated service) is measured first, with a service that works 2 ms, at
a low load; the simulator is told that one number (`network.hop`) and nothing else. Everything listens on loopback, and everything
that was started is stopped.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PELAGO = os.path.join(ROOT, "target", "release", "pelago")
HEALTH = "healthcheck: {path: /health, interval: 1s}"
POLICY = "defaults: {resilience: {timeout: 5s, retry: {attempts: 1, backoff: 5ms, on: [server-error]}}, %s}" % HEALTH
WAIT_S = 30.0
# What `pelago top` looks back over.
WINDOW_S = 10
WARM_UP_S = 2

PROBE = f"""name: real
{POLICY}
services:
  web: {{behaviour: {{work: 2ms}}}}
routes: [{{path: /, service: web}}]
"""

ARCHITECTURES = {
    # The database is the bottleneck: four workers of 4 ms bear 1000 requests a second.
    "chain": (f"""name: real
{POLICY}
services:
  web: {{behaviour: {{work: 1ms, calls: [api]}}}}
  api: {{replicas: 2, behaviour: {{work: {{p50: 2ms, p99: 6ms}}, calls: [db]}}}}
  db: {{behaviour: {{work: {{mean: 4ms}}, concurrency: 4}}}}
routes: [{{path: /, service: web}}]
""", [100, 300, 500, 650, 800]),
    # Four branches at once, each of two instances with two workers of 5 ms: 800 requests a second.
    "fan-out": (f"""name: real
{POLICY}
services:
  web: {{behaviour: {{work: 1ms, calls: [{{parallel: [a, b, c, d]}}]}}}}
  a: {{replicas: 2, behaviour: {{work: {{mean: 5ms}}, concurrency: 2}}}}
  b: {{replicas: 2, behaviour: {{work: {{mean: 5ms}}, concurrency: 2}}}}
  c: {{replicas: 2, behaviour: {{work: {{mean: 5ms}}, concurrency: 2}}}}
  d: {{replicas: 2, behaviour: {{work: {{mean: 5ms}}, concurrency: 2}}}}
routes: [{{path: /, service: web}}]
""", [50, 150, 250, 350, 450]),
    # A cache before a database, a flaky service that is tried again, an optional one.
    "shop": (f"""name: real
{POLICY}
services:
  web:
    behaviour:
      work: {{p50: 2ms, p99: 10ms}}
      calls:
        - catalog
        - parallel: [cart, {{service: ads, probability: 50%, optional: true}}]
  catalog:
    replicas: 2
    behaviour:
      work: {{mean: 2ms}}
      concurrency: 16
      calls: [{{service: db, cache: {{service: cache, hit_ratio: 80%}}}}]
  cache: {{behaviour: {{work: 300us}}}}
  db: {{behaviour: {{work: {{p50: 8ms, p99: 40ms}}, concurrency: 2}}}}
  cart: {{replicas: 2, behaviour: {{work: {{mean: 6ms}}, concurrency: 3, errors: 2%}}}}
  ads: {{behaviour: {{work: {{min: 5ms, max: 15ms}}, concurrency: 8}}}}
routes: [{{path: /, service: web}}]
""", [50, 150, 300, 450, 550]),
}


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


class Site:
    """A control process with its data plane and instances, in a folder of its own."""

    def __init__(self, manifest):
        self.folder = tempfile.mkdtemp(prefix="pr")
        self.gateway, self.telemetry = free_port(), free_port()
        self.environment = dict(os.environ, PELAGO_DATA=os.path.join(self.folder, "data"),
                                PELAGO_GATEWAY=f"127.0.0.1:{self.gateway}",
                                PELAGO_TELEMETRY=f"127.0.0.1:{self.telemetry}")
        with open(os.path.join(self.folder, "pelago.yaml"), "w", encoding="utf-8") as file:
            file.write(manifest)

    def run(self, *arguments):
        done = subprocess.run([PELAGO, *arguments], cwd=self.folder, env=self.environment, check=False,
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"pelago {' '.join(arguments)}: {done.stderr}{done.stdout}")
        return done.stdout

    def __enter__(self):
        self.serve = subprocess.Popen([PELAGO, "serve", "--listen", "none"], cwd=self.folder,
                                      env=self.environment, stderr=subprocess.DEVNULL)
        end = time.monotonic() + WAIT_S
        while not os.path.exists(os.path.join(self.folder, "data", "pelago.sock")):
            if end < time.monotonic():
                raise RuntimeError("the control process does not start")
            time.sleep(0.05)
        try:
            self.run("up", "--detach")
        except RuntimeError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            self.run("down")
            self.run("shutdown")
        finally:
            self.serve.wait(WAIT_S)
            shutil.rmtree(self.folder, ignore_errors=True)

    def load(self, rate, seconds):
        """The client's report, and the 99th percentiles (ms) of each edge: the mean over windows of ten seconds."""
        arguments = ["load", f"http://127.0.0.1:{self.gateway}/", "--rate", f"{rate}/s", "--duration", f"{seconds}s",
                     "--warmup", f"{WARM_UP_S}s", "--format", "json"]
        load = subprocess.Popen([PELAGO, *arguments], cwd=self.folder, env=self.environment, stdout=subprocess.PIPE)
        began, windows = time.monotonic(), {}
        for window in range(1, seconds // WINDOW_S + 1):
            time.sleep(max(0.0, began + WARM_UP_S + window * WINDOW_S - time.monotonic()))
            top = json.loads(self.run("top", "--once", "--format", "json"))
            edges = [((it["caller"], it["callee"]), it) for it in top["edges"]["edges"]]
            edges += [(("route:" + it["key"], it["service"]), it) for it in top["routes"]["routes"]]
            for edge, it in edges:
                windows.setdefault(edge, []).append(it["traffic"]["total"]["p99_ms"])
        report, _ = load.communicate(timeout=WAIT_S)
        return json.loads(report), {edge: sum(it) / len(it) for edge, it in windows.items() if None not in it}

    def means(self):
        """Mean latency (ms) of each edge, by caller and callee."""
        sums, counts = {}, {}
        end = time.monotonic() + WAIT_S
        before = None
        while True:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.telemetry}/metrics") as answer:
                text = answer.read().decode()
            sums, counts = {}, {}
            for line in text.splitlines():
                if line.startswith("pelago_request_duration_seconds_"):
                    name, labels = line.split("{", 1)
                    labels, value = labels.rsplit("} ", 1)
                    labels = dict(it.split("=", 1) for it in labels.split('",') if "=" in it)
                    edge = tuple(labels[it].strip('"') for it in ("caller", "callee"))
                    if name.endswith("_sum"):
                        sums[edge] = sums.get(edge, 0.0) + float(value)
                    elif name.endswith("_count"):
                        counts[edge] = counts.get(edge, 0.0) + float(value)
            # Signals come once a second; when nothing changes any more they are all there.
            if before == counts and counts:
                break
            if end < time.monotonic():
                raise RuntimeError("metrics do not settle")
            before = counts
            time.sleep(5.5)
        return {edge: 1000.0 * sums[edge] / counts[edge] for edge in sums if counts.get(edge)}


def simulate(site, rate, seconds, hop_us):
    scenario = os.path.join(site.folder, "scenario.yaml")
    with open(scenario, "w", encoding="utf-8") as file:
        file.write(f"""duration: {seconds * 4}s
warm_up: 5s
users: [{{name: people, load: {rate}/s, to: web}}]
network: {{hop: {hop_us}us}}
""")
    return json.loads(site.run("sim", "run", "--scenario", scenario, "--format", "json"))


def measure(manifest, rate, seconds):
    with Site(manifest) as site:
        loaded, p99 = site.load(rate, seconds)
        return loaded, {edge: (mean, p99.get(edge)) for edge, mean in site.means().items()}


def percent(found, expected):
    return f"{100.0 * (found / expected - 1.0):+.1f}%" if expected else "-"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--only", default=",".join(ARCHITECTURES))
    asked = parser.parse_args()
    _, edges = measure(PROBE, 50, asked.seconds)
    hop_us = round(1000.0 * (list(edges.values())[0][0] - 2.0))
    print(f"a hop costs {hop_us} us beside the work (50 requests/s of 2 ms)")
    print("| architecture | load | edge | mean real | simulated | | p99 real | simulated | |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    off_mean, off_p99 = [], []
    for name in asked.only.split(","):
        manifest, rates = ARCHITECTURES[name]
        for rate in rates:
            loaded, edges = measure(manifest, rate, asked.seconds)
            site = Site(manifest)
            found = simulate(site, rate, asked.seconds, hop_us)
            shutil.rmtree(site.folder, ignore_errors=True)
            users = found["users"][0]
            goodput = loaded["statuses"].get("200", 0) / loaded["duration_s"]
            # Random arrivals of half a minute differ by a few percent from their rate.
            print(f"| {name} | {rate}/s | goodput | {goodput:.0f}/s | {users['goodput']['value']:.0f}/s | "
                  f"{percent(users['goodput']['value'], goodput)} | | | |", flush=True)
            by_edge = {(it["caller"], it["callee"]): it["latency"] for it in found["edges"]}
            for (caller, callee), (mean, p99) in sorted(edges.items()):
                outside = caller.startswith("route:")
                simulated = by_edge.get(("outside" if outside else caller, callee))
                if simulated is None:
                    print(f"no edge {caller} -> {callee} in {list(by_edge)}", file=sys.stderr)
                    continue
                s_mean, s_p99 = simulated["mean_ms"]["value"], simulated["p99_ms"]["value"]
                off_mean.append(abs(s_mean / mean - 1.0))
                if p99:
                    off_p99.append(abs(s_p99 / p99 - 1.0))
                shown = f"{p99:.1f} ms | {s_p99:.1f} ms | {percent(s_p99, p99)}" if p99 else "- | | "
                print(f"| {name} | {rate}/s | {'gateway' if outside else caller} → {callee} | {mean:.2f} ms | {s_mean:.2f} ms | "
                      f"{percent(s_mean, mean)} | {shown} |", flush=True)
    for what, off, goal in [("means", off_mean, 0.05), ("p99", off_p99, 0.10)]:
        if off:
            off.sort()
            within = sum(it <= goal for it in off)
            print(f"{what}: {within} of {len(off)} within {goal:.0%}; median off {off[len(off) // 2]:.1%}, "
                  f"worst {off[-1]:.1%}")


if __name__ == "__main__":
    main()
