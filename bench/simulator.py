#!/usr/bin/env python3
"""The simulator beside its peers, on one M/M/1 queue, in one run.

    python3 -m venv target/peers && target/peers/bin/pip install simpy==4.1.1
    python3 bench/simulator.py

Each plays a queue at .8 for some seconds of processor time, three times, in turns; the medians are printed, and how many times as
fast Pelago is. An event is a request that comes or one that is done: what SimPy does beside (a process, a resource) is its own affair.
"""

import json
import os
import re
import statistics
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROUNDS = 3


def pelago():
    out = subprocess.run(["cargo", "bench", "-q", "-p", "simulator", "--", "m/m/1"], cwd=ROOT, check=True,
                         capture_output=True, text=True).stdout
    return 1e6 * float(re.search(r"m/m/1: ([0-9.]+) M events/s", out).group(1))


def nexosim():
    folder = os.path.join(ROOT, "bench", "peers", "nexosim")
    environment = dict(os.environ, CARGO_TARGET_DIR=os.path.join(ROOT, "target", "peers-nexosim"))
    out = subprocess.run(["cargo", "run", "-q", "--release", "--locked", "--", "5000"], cwd=folder, check=True,
                         env=environment, capture_output=True, text=True).stdout
    return answer(out)


def simpy():
    python = os.path.join(ROOT, "target", "peers", "bin", "python3")
    script = os.path.join(ROOT, "bench", "peers", "simpy_mm1.py")
    return answer(subprocess.run([python, script, "500"], check=True, capture_output=True, text=True).stdout)


def answer(out):
    found = json.loads(out)
    # It is the same queue: 5 ms in the system, within what so many requests allow.
    assert 4.0 < found["mean_ms"] < 6.0, found
    return found["events_per_s"]


def main():
    runs = {"pelago": pelago, "nexosim": nexosim, "simpy": simpy}
    found = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            found[name].append(run())
    medians = {name: statistics.median(it) for name, it in found.items()}
    for name, events in medians.items():
        print(f"{name:8} {events / 1e6:6.2f} M events/s   pelago is {medians['pelago'] / events:.1f} times as fast")


if __name__ == "__main__":
    main()
