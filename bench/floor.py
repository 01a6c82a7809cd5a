#!/usr/bin/env python3
"""Start, rest and heal: the ground floor's figures on this machine.

    cargo build --release && python3 bench/floor.py [--services 40] [--rounds 5]

Each round starts a synthetic application of many services, each of which takes 20 ms to start, in four
layers that depend on each other, in a data folder of its own, and measures
  start  from `pelago up --detach` (no control process yet) to all services ready
  rest   memory (RSS) and CPU of the control process over ten seconds in which nothing happens
  heal   from `kill -9` of an instance to its replacement being ready
Everything listens on loopback, and everything that was started is stopped.
"""

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LAYERS = 4
TICKS = os.sysconf("SC_CLK_TCK")


def manifest(services):
    lines = ["name: floor", "services:"]
    for number in range(services):
        layer = number * LAYERS // services
        lines.append(f"  s{number:02}:")
        lines.append("    behaviour: {work: 1ms, startup: 20ms}")
        if layer:
            below = (layer - 1) * services // LAYERS
            lines.append(f"    depends_on: {{s{below:02}: {{condition: service_healthy}}}}")
    return "\n".join(lines) + "\n"


class Floor:
    def __init__(self, pelago, services):
        self.pelago, self.services = pelago, services
        self.folder = tempfile.mkdtemp(prefix="pelago-floor-")
        self.environment = {**os.environ, "PELAGO_DATA": os.path.join(self.folder, "data")}
        with open(os.path.join(self.folder, "pelago.yaml"), "w", encoding="utf-8") as file:
            file.write(manifest(services))

    def run(self, *arguments):
        command = [self.pelago, *arguments]
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True,
                              text=True, timeout=120, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{command} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def status(self):
        return json.loads(self.run("--format", "json", "ps"))["applications"][0]

    def control(self):
        return int(re.search(r"process (\d+)", self.run("doctor")).group(1))

    def cpu_s(self, pid):
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_mib(self, pid, key):
        with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
            return next(int(line.split()[1]) for line in file if line.startswith(key)) / 1024

    def heal_s(self):
        service = next(it for it in self.status()["services"] if it["name"] == "s00")
        victim = service["instances"][0]
        began = time.monotonic()
        os.kill(victim["pid"], signal.SIGKILL)
        while True:
            service = next(it for it in self.status()["services"] if it["name"] == "s00")
            instances = service["instances"]
            if instances and instances[0]["id"] != victim["id"] and service["ready"] == 1:
                return time.monotonic() - began

    def round(self, rest_s):
        began = time.monotonic()
        self.run("up", "--detach")
        start = time.monotonic() - began
        ready = sum(it["ready"] for it in self.status()["services"])
        assert ready == self.services, f"{ready} of {self.services} are ready"
        pid = self.control()
        cpu = self.cpu_s(pid)
        time.sleep(rest_s)
        cpu = (self.cpu_s(pid) - cpu) / rest_s * 100
        rss = self.memory_mib(pid, "Rss:")
        supervisors = [int(it) for it in subprocess.run(
            ["pgrep", "-f", f"supervise {self.folder}"], capture_output=True, text=True,
            check=False).stdout.split()]
        supervisor = statistics.mean(self.memory_mib(it, "Pss:") for it in supervisors)
        heal = self.heal_s()
        began = time.monotonic()
        self.run("down")
        return {"start_s": start, "rest_rss_mib": rss, "rest_cpu_percent": cpu,
                "supervisor_pss_mib": supervisor, "heal_s": heal,
                "down_s": time.monotonic() - began}

    def end(self):
        self.run("shutdown")
        shutil.rmtree(self.folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--services", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rest", type=float, default=10.0, help="seconds of rest measured")
    parser.add_argument("--pelago", default=os.path.join(ROOT, "target/release/pelago"))
    asked = parser.parse_args()
    rows = []
    for _ in range(asked.rounds):
        floor = Floor(os.path.abspath(asked.pelago), asked.services)
        try:
            rows.append(floor.round(asked.rest))
        finally:
            floor.end()
    print(f"{asked.services} services, {asked.rounds} rounds: min / median / max")
    for key in rows[0]:
        values = sorted(it[key] for it in rows)
        print(f"  {key:<20} {values[0]:8.3f} {statistics.median(values):8.3f} {values[-1]:8.3f}")


if __name__ == "__main__":
    main()
