"""An application on a platform of its own, for bench/long.py and bench/attack.py: a data folder, a gateway, a control process
that can be ended and started again with other options, and the addresses of its declared calls. It ends what it started."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

from mesh import OverSocket
from proxies import Stopped, free_ports

WAIT_S = 60.0


class Application:
    """`manifest` as `pelago up` runs it, in a folder in which the script `program` is."""

    def __init__(self, pelago, manifest, program):
        # Short: a socket's path may have 107 bytes.
        self.folder = tempfile.mkdtemp(prefix="pesite", dir="/tmp")
        self.data = os.path.join(self.folder, "data")
        self.original = pelago
        # A copy: that another file is the binary is what makes an upgrade.
        self.pelago = os.path.join(self.folder, "pelago")
        shutil.copy(pelago, self.pelago)
        self.application = os.path.join(self.folder, "app")
        os.makedirs(os.path.join(self.application, "program"))
        shutil.copy(program, os.path.join(self.application, "program"))
        with open(os.path.join(self.application, "pelago.yaml"), "w", encoding="utf-8") as file:
            file.write(manifest)
        self.gateway, self.telemetry = free_ports(2)
        self.control = None

    def __enter__(self):
        try:
            self.serve("--listen", "none", "--gateway", f"127.0.0.1:{self.gateway}",
                       "--telemetry", f"127.0.0.1:{self.telemetry}")
            self.run("up", "--detach")
            self.until("every instance", self.is_whole)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            if self.control and self.control.poll() is not None:
                self.serve()
            self.run("down")
        finally:
            if self.control:
                self.control.terminate()
                self.control.wait()
            self.until("every process to end", lambda: not self.processes(), stop=self.kill_rest)
            shutil.rmtree(self.folder)

    def kill_rest(self):
        left = self.processes()
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        print(f"left after `pelago down`, and killed: {left}", flush=True)

    def serve(self, *options):
        """A control process; what is not said stays as it was."""
        with open(os.path.join(self.folder, "control.log"), "ab") as log:
            self.control = subprocess.Popen([self.pelago, "--data", self.data, "serve", *options], cwd="/",
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.until("the control process", lambda: self.get("/health") is not None)

    def restart_control(self, *options):
        self.control.terminate()
        self.control.wait()
        self.serve(*options)

    def kill_control(self):
        self.control.kill()
        self.control.wait()
        time.sleep(0.5)
        self.serve()

    def upgrade(self):
        """Another file in the binary's place, as a package's installation leaves it."""
        new = self.pelago + ".new"
        shutil.copy(self.original, new)
        os.replace(new, self.pelago)
        self.restart_control()

    def run(self, *arguments):
        done = subprocess.run([self.pelago, "--data", self.data, *arguments], cwd=self.application,
                              capture_output=True, text=True, timeout=300, check=False)
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

    def is_whole(self):
        """Whether every instance is ready, and no other is left."""
        services = json.loads(self.get("/v1/status") or '{"applications": []}')["applications"]
        return bool(services) and all(
            it["ready"] == it["replicas"] == len(it["instances"]) for it in services[0]["services"])

    def call(self, callee, caller="caller"):
        """The port of the declared call of `callee`."""
        edges = json.loads(self.get("/v1/edges"))["edges"]
        return next(int(it["address"].rpartition(":")[2]) for it in edges
                    if (it["caller"], it["callee"]) == (caller, callee))

    def until(self, what, done, stop=None):
        deadline = time.monotonic() + WAIT_S
        while not done():
            if deadline < time.monotonic():
                if stop:
                    return stop()
                raise Stopped(f"waited for {what} in vain; see {self.folder}")
            time.sleep(0.02)

    def processes(self, word=None):
        """Who has the data folder in its command or its environment, by its second word if one is given."""
        found = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    words = file.read().decode(errors="replace").split("\0")
                with open(f"/proc/{entry}/environ", "rb") as file:
                    environment = file.read().decode(errors="replace")
            except OSError:
                continue
            is_ours = any(it.startswith(self.data) for it in words) or f"TMPDIR={self.data}" in environment
            if is_ours and (word is None or words[1:2] == [word]):
                found.append(int(entry))
        return found

    def data_planes(self):
        return self.processes("proxy")
