#!/usr/bin/env python3
"""An upgrade under load: a data folder written by an earlier Pelago is taken over by this one, and nothing is lost.

    python3 bench/upgrade.py [--before e4104a3] [--seconds 30] [--rate 200]

Builds both binaries from this repository (the earlier one in a work tree of its own). The earlier one brings an application up, scales
and releases it; then, under steady open-loop load through the gateway and over declared calls, its control process is ended and
the new one started on the same folder with the same options, which replaces the data plane as well. Every instance must be the
same process as before, no request may be lost, and every event of before must be there, with its index. Then the new one
releases, restarts and stops the application. Everything listens on loopback, and everything that was started is stopped.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

SHOP = """name: shop
defaults: {healthcheck: {path: /health, interval: 1s}, update: {keep_old: 0s}}
services:
  web: {replicas: 2, behaviour: {work: 1ms, calls: [cart]}}
  cart: {replicas: 2, behaviour: {work: 1ms}}
routes: [{path: /, service: web}]
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def build(commit, folder):
    """The binary of a commit; of the work tree as it is where none is named."""
    place = ROOT
    if commit:
        place = os.path.join(folder, "before")
        subprocess.run(["git", "-C", ROOT, "worktree", "add", "--force", "--detach", place, commit], check=True,
                       capture_output=True)
    subprocess.run(["cargo", "build", "--release", "--locked", "-p", "pelago"], cwd=place, check=True)
    return os.path.join(place, "target", "release", "pelago")


class Folder:
    def __init__(self, folder):
        self.app, self.data = os.path.join(folder, "app"), os.path.join(folder, "data")
        os.makedirs(self.app)
        with open(os.path.join(self.app, "pelago.yaml"), "w", encoding="utf-8") as file:
            file.write(SHOP)
        self.gateway, self.telemetry = free_port(), free_port()
        self.log = open(os.path.join(folder, "control.log"), "ab")

    def serve(self, binary):
        command = [binary, "serve", "--data", self.data, "--listen", "none", "--gateway", f"127.0.0.1:{self.gateway}",
                   "--telemetry", f"127.0.0.1:{self.telemetry}"]
        control = subprocess.Popen(command, cwd="/", stdout=self.log, stderr=self.log)
        for _ in range(600):
            if self.run(binary, "doctor", check=False).returncode == 0:
                return control
            time.sleep(0.1)
        raise SystemExit("the control process does not answer")

    def run(self, binary, *arguments, check=True):
        command = [binary, "--data", self.data, *arguments]
        done = subprocess.run(command, cwd=self.app, capture_output=True, text=True, timeout=300, check=False)
        if check and done.returncode != 0:
            raise SystemExit(f"{arguments} failed:\n{done.stdout}{done.stderr}")
        return done

    def json(self, binary, *arguments):
        return json.loads(self.run(binary, "--format", "json", *arguments).stdout)

    def events(self, binary):
        lines = self.run(binary, "--format", "json", "events", "-n", "10000").stdout.splitlines()
        return [json.loads(it) for it in lines]

    def pids(self, binary):
        services = self.json(binary, "ps")["applications"][0]["services"]
        return sorted(it["pid"] for service in services for it in service["instances"])

    def data_planes(self):
        found = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    words = file.read().decode(errors="replace").split("\0")
                if len(words) > 1 and words[1] == "proxy" and self.data in words:
                    found.append(os.path.realpath(f"/proc/{entry}/exe"))
            except OSError:
                pass
        return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", default="e4104a3")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--binaries", nargs=2, metavar=("BEFORE", "AFTER"), help="built already")
    asked = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="pelago-upgrade-")
    control = None
    try:
        before, after = asked.binaries or (build(asked.before, folder), build(None, folder))
        site = Folder(folder)
        control = site.serve(before)
        site.run(before, "up", "--detach")
        site.run(before, "scale", "web=3")
        site.run(before, "deploy", "cart", "--force", "--strategy", "rolling")
        pids, events = site.pids(before), site.events(before)
        load = subprocess.Popen([after, "load", f"http://127.0.0.1:{site.gateway}/", "--rate", f"{asked.rate}/s", "--duration",
                                 f"{asked.seconds}s", "--format", "json"], cwd="/", stdout=subprocess.PIPE, text=True)
        time.sleep(asked.seconds / 4)
        control.terminate()
        control.wait()
        control = site.serve(after)
        taken_over = site.pids(after)
        time.sleep(asked.seconds / 4)
        planes = site.data_planes()
        report = json.loads(load.communicate()[0])
        lost = {status: it for status, it in report["statuses"].items() if not status.startswith("2")}
        lost |= {error: it for error, it in report["errors"].items() if it}
        # Counts of a rollout are told by the earlier one as well, and by this one only to whoever asks.
        kept = {it["index"] for it in site.events(after)}
        missing = [it["index"] for it in events if it["index"] not in kept and it["kind"] != "rollout_observed"]
        site.run(after, "deploy", "web", "--force", "--strategy", "bluegreen")
        site.run(after, "restart")
        site.run(after, "down")
        print(f"requests: {report['offered']}, lost: {lost or 'none'}")
        print(f"instances: {len(pids)}, taken over: {'all' if taken_over == pids else 'NOT ALL'}")
        print(f"events: {len(events)}, missing: {missing or 'none'}")
        print(f"data planes: {'this one' if planes == [os.path.realpath(after)] else planes}")
        is_right = not lost and not missing and taken_over == pids and planes == [os.path.realpath(after)]
        print("nothing was lost" if is_right else "SOMETHING WAS LOST")
        raise SystemExit(0 if is_right else 1)
    finally:
        if control:
            control.terminate()
            control.wait()
        subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", os.path.join(folder, "before")],
                       capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
