#!/usr/bin/env python3
"""Telemetry: what it costs to take in, keep and ask, beside Debian's Prometheus; what a flood does to the others.

    cargo build --release && scripts/prometheus && python3 bench/telemetry.py [--only ingest,query,floods,cost]

Every figure is of the real platform, `pelago up` in a data folder of its own, over the same HTTP as anybody's.

  ingest  five instances with 10 000 series each, scraped once a second, by Pelago and then by Prometheus
  query   the same hour of 10 000 series in both: expressions side by side, and bytes of blocks
  floods  a service that floods beside one that is under load: what becomes of the other
  cost    traffic through the mesh: the control process's share of the CPU, and what sampling costs

Everything listens on loopback, and everything that was started is stopped.
"""

import argparse
import array
import json
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from mesh import Load, lost, row, table
from proxies import Stopped, free_ports, write
from telemetry_peers import (ROOT, SERVICES, Prometheus, Site, ask, cpu_s, memory_mib, processes, query, query_range,
                             remote_write, size)

INSTANCES, SERIES = 5, 10_000
STEP_S, HOUR_S = 15, 3600
# Before the hour, so that every window is full: how far a counter that has just begun is drawn out differs in Prometheus 3.
LEAD_S = 300
BOUNDS = ["0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "+Inf"]
QUERIES = {
    "`sum by (job) (rate(x[5m]))`": "sum by (job) (rate(x[5m]))",
    "`rate(x[5m])`, every series": "rate(x[5m])",
    "`histogram_quantile(0.9, sum by (le, job) (rate(b[5m])))`":
        "histogram_quantile(0.9, sum by (le, job) (rate(b[5m])))",
    "`max by (job) (max_over_time(x[5m]))`": "max by (job) (max_over_time(x[5m]))",
}
# What doubles may differ by when they are added in another order.
TOLERANCE = 1e-9


def exporters(metrics):
    return f"""name: watched
services:
  exporter:
    artifact: ./files
    command: python3 service.py exporter
    replicas: {INSTANCES}
    environment: {{SERIES: "{SERIES}"}}
{metrics}
"""


def idle(asked):
    """CPU a second of a control process whose services are there but not scraped."""
    with Site(asked.pelago, exporters("")) as site:
        time.sleep(5)
        before = cpu_s(site.control.pid)
        time.sleep(20)
        return (cpu_s(site.control.pid) - before) / 20


def row_of_ingest(who, samples, cpu, memory, log_bytes):
    row(who, f"{samples:,.0f}", f"{cpu:.2f} s", f"{samples / cpu:,.0f}", f"{memory[0]:.0f} MiB", f"{memory[1]:.0f} MiB",
        log_bytes)


def ingest(asked):
    without = idle(asked)
    table(f"{INSTANCES} instances with {SERIES} series each, scraped once a second for {asked.seconds} s", "who",
          "samples", "CPU", "samples/s a core", "RSS", "most", "log, bytes a sample")
    with Site(asked.pelago, exporters("    metrics: {path: /metrics, interval: 1s}")) as site:
        # The first scrapes make the series.
        time.sleep(5)
        pid = site.control.pid
        before, cpu, began = site.status()[0]["metrics"], cpu_s(pid), time.monotonic()
        time.sleep(asked.seconds)
        after, used, took = site.status()[0]["metrics"], cpu_s(pid) - cpu, time.monotonic() - began
        samples = after["accepted"] - before["accepted"]
        memory = memory_mib(pid), memory_mib(pid, "VmHWM")
        log = size(os.path.join(site.data, "telemetry", "metrics", "log")) / after["accepted"]
        row_of_ingest("Pelago", samples, used, memory, f"{log:.2f}")
        row_of_ingest(f"Pelago, less {without * 100:.1f} % of a core that it takes anyway", samples,
                      used - without * took, memory, f"{log:.2f}")
    ports = free_ports(INSTANCES)
    started = [subprocess.Popen([sys.executable, SERVICES, "exporter"],
                                env={**os.environ, "PORT": str(it), "SERIES": str(SERIES)}) for it in ports]
    try:
        with Prometheus(ports) as prometheus:
            time.sleep(5)
            pid, metric = prometheus.popen.pid, "prometheus_tsdb_head_samples_appended_total"
            before, cpu = prometheus.own(metric), cpu_s(pid)
            time.sleep(asked.seconds)
            after, used = prometheus.own(metric), cpu_s(pid) - cpu
            memory = memory_mib(pid), memory_mib(pid, "VmHWM")
            log = size(os.path.join(prometheus.data, "wal")) / after
            row_of_ingest("Prometheus 2.42", after - before, used, memory, f"{log:.2f}")
    finally:
        for it in started:
            it.terminate()
            it.wait()


def values(number, count):
    """A counter that grows unevenly and now and then begins anew."""
    value, state, found = 0, number * 2_654_435_761 & 0xFFFFFFFF, []
    for it in range(count):
        state = (state * 1_103_515_245 + 12_345) & 0x7FFFFFFF
        value += state >> 16 & 0xFF
        if number % 50 == 7 and it == count // 2:
            value = 0
        found.append(value)
    return found


def hour(begin_s):
    """Series of an hour and what leads to it: 10 000 of `x`, and 10 000 of `b`, a thousand histograms."""
    times = range((begin_s - LEAD_S) * 1_000, (begin_s + HOUR_S) * 1_000 + 1, STEP_S * 1_000)
    for it in range(SERIES):
        labels = {"__name__": "x", "job": f"job-{it % 10}", "instance": f"10.0.{it // 250}.{it % 250}:9100"}
        yield labels, list(zip(times, values(it, len(times))))
    for it in range(SERIES // len(BOUNDS)):
        seen = values(it, len(times))
        for place, bound in enumerate(BOUNDS):
            labels = {"__name__": "b", "job": f"job-{it % 10}", "instance": f"10.0.0.{it}:9100", "le": bound}
            yield labels, [(at, value * (place + 1) // len(BOUNDS)) for at, value in zip(times, seen)]


def batches(series, count):
    batch = []
    for it in series:
        batch.append(it)
        if len(batch) == count:
            yield batch
            batch = []
    if batch:
        yield batch


def write_open_metrics(path, begin_s):
    def text(labels):
        return labels["__name__"] + "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()
                                                   if name != "__name__") + "}"

    with open(path, "w", encoding="utf-8") as file:
        for metric in ("b", "x"):
            file.write(f"# TYPE {metric} unknown\n")
            for labels, samples in hour(begin_s):
                if labels["__name__"] == metric:
                    name = text(labels)
                    file.writelines(f"{name} {value} {at / 1e3:.3f}\n" for at, value in samples)
        file.write("# EOF\n")


def results(body):
    """Series by their labels, in little memory."""
    found = {}
    for it in json.loads(body)["data"]["result"]:
        key = json.dumps(it["metric"], sort_keys=True)
        found[key] = (array.array("d", (at for at, _ in it["values"])),
                      array.array("d", (float(value) for _, value in it["values"])))
    return found


def differences(body, other):
    """How many values differ, and how many there are."""
    mine, theirs = results(body), results(other)
    count = sum(len(it[0]) for it in mine.values())
    if mine.keys() != theirs.keys():
        return f"{len(mine.keys() ^ theirs.keys())} series", count
    differing = 0
    for key, (times, values_) in mine.items():
        if times != theirs[key][0]:
            return "times", count
        differing += sum(not math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
                         for a, b in zip(values_, theirs[key][1]) if not (math.isnan(a) and math.isnan(b)))
    return differing, count


def ask_both(asked, pelago, prometheus, begin_s):
    # Not where samples are: ranges are open on the left since Prometheus 3, and were not before.
    start, end = begin_s + 7, begin_s + HOUR_S - 8
    for name, expression in QUERIES.items():
        took, bodies = ([], []), [b"", b""]
        for _ in range(asked.rounds):
            for side, port in enumerate((pelago, prometheus)):
                bodies[side], seconds = query_range(port, expression, start, end, STEP_S)
                took[side].append(seconds * 1e3)
        differing, count = differences(*bodies)
        mine, theirs = (statistics.median(it) for it in took)
        row(name, f"{mine:.0f} ms", f"{theirs:.0f} ms", f"{theirs / mine:.1f}", count, differing)


QUERY_HEADS = "expression", "Pelago", "Prometheus", "times as fast", "values", "of them differ"


def query_blocks(asked, scratch):
    """An hour of yesterday, in blocks of both."""
    # Prometheus' blocks begin at even hours.
    begin_s = (int(time.time()) // 7_200 - 12) * 7_200 + LEAD_S
    text = os.path.join(scratch, "hour.om")
    write_open_metrics(text, begin_s)
    folder = tempfile.mkdtemp(prefix="peprom", dir="/tmp")
    subprocess.run([Prometheus.program("promtool"), "tsdb", "create-blocks-from", "openmetrics", text,
                    os.path.join(folder, "data")], check=True, capture_output=True)
    os.remove(text)
    with Site(asked.pelago, exporters("")) as site, Prometheus(folder=folder) as prometheus:
        for batch in batches(hour(begin_s), 1_000):
            remote_write(site.telemetry, batch)
        blocks = os.path.join(site.data, "telemetry", "metrics")
        settle(blocks)
        samples = 2 * SERIES * ((LEAD_S + HOUR_S) // STEP_S + 1)
        mine = sum(os.path.getsize(os.path.join(blocks, it)) for it in os.listdir(blocks) if it.endswith(".block"))
        names = [it for it in os.listdir(prometheus.data) if len(it) == 26]
        theirs = sum(size(os.path.join(prometheus.data, it)) for it in names)
        table(f"{samples:,} samples in blocks", "who", "blocks", "bytes", "bytes a sample")
        row("Pelago", sum(it.endswith(".block") for it in os.listdir(blocks)), mine, f"{mine / samples:.2f}")
        row("Prometheus 2.42", len(names), theirs, f"{theirs / samples:.2f}")
        table(f"An hour of {SERIES:,} series, every {STEP_S} s, in blocks: median of {asked.rounds}", *QUERY_HEADS)
        ask_both(asked, site.telemetry, prometheus.port, begin_s)
        row_of_memory(site.control.pid, prometheus.popen.pid)


def settle(folder):
    """Waits until all is in blocks and small ones have been put together."""
    before, since = None, time.monotonic()
    while time.monotonic() < since + 6:
        now = sorted(os.listdir(folder))
        if now != before:
            before, since = now, time.monotonic()
        time.sleep(0.2)


def query_recent(asked):
    """The last hour, sent in order of time to both: what is in memory there, and in memory or new blocks here."""
    begin_s = int(time.time()) // STEP_S * STEP_S - HOUR_S
    with Site(asked.pelago, exporters("")) as site, Prometheus() as prometheus:
        # Prometheus takes no sample that is more than an hour older than its latest one.
        for part in (slice(0, LEAD_S // STEP_S), slice(LEAD_S // STEP_S, None)):
            for batch in batches(((labels, samples[part]) for labels, samples in hour(begin_s)), 1_000):
                for port in (site.telemetry, prometheus.port):
                    remote_write(port, batch)
        time.sleep(5)
        table(f"The last hour of {SERIES:,} series, every {STEP_S} s: median of {asked.rounds}", *QUERY_HEADS)
        ask_both(asked, site.telemetry, prometheus.port, begin_s)
        row_of_memory(site.control.pid, prometheus.popen.pid)


def row_of_memory(pelago, prometheus):
    row("memory after it (RSS)", f"{memory_mib(pelago):.0f} MiB", f"{memory_mib(prometheus):.0f} MiB",
        f"{memory_mib(prometheus) / memory_mib(pelago):.1f}", "", "")


def query_(asked):
    scratch = tempfile.mkdtemp(prefix="petele", dir="/tmp")
    try:
        query_blocks(asked, scratch)
    finally:
        shutil.rmtree(scratch)
    query_recent(asked)


FLOODS = {
    "nothing": None,
    "metrics: 20 000 label values more in each scrape": "bomb",
    "metrics: 20 000 other label values in each scrape": "churn",
    "spans: 50 000/s, OTLP": "spans",
    "spans: 50 000/s, Zipkin's JSON": "zipkin",
    "lines: 100 MB/s": "lines",
}
FLOOD_S = 20


CALM = """python3 service.py calm &
export PELAGO_BEHAVIOUR='{"work": {"distribution": "fixed", "time": "2ms"}, "response": "1KiB"}'
exec PELAGO emulate
"""


def flooded(mode, port, go):
    """`calm`, which is under load, and beside it what floods."""
    exposed = "metrics: {path: /metrics, interval: 1s}" if mode in ("bomb", "churn") else ""
    flood = f"""
  flood:
    artifact: ./files
    command: python3 service.py {mode}
    environment: {{FLOOD_GO: "{go}"}}
    {exposed}""" if mode else ""
    return f"""name: flooded
services:
  calm:
    artifact: ./files
    command: sh calm.sh
    environment: {{METRICS_PORT: "{port}"}}
    metrics: {{path: /metrics, port: {port}, interval: 1s}}{flood}
routes:
  - {{host: calm.localhost, service: calm}}
"""


class Watch:
    """The most memory a process takes, looked at ten times a second."""

    def __init__(self, pids):
        self.pids, self.most, self.stop = pids, {}, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stop.wait(0.1):
            for name, pid in self.pids.items():
                try:
                    self.most[name] = max(self.most.get(name, 0), memory_mib(pid))
                except (OSError, AttributeError):
                    continue

    def end(self):
        self.stop.set()
        self.thread.join()
        return self.most


def kept(site, since, seconds):
    """What is there of the calm ones' telemetry of that time, of what there should be."""
    at = lambda seconds_: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds_))
    between = lambda start, end: f"since={at(start)}&until={at(end)}&limit=1000"
    said = json.loads(site.get(f"/v1/records?service=calm&query=calm&{between(since, since + seconds)}"))
    numbers = {int(it["text"].rpartition(" ")[2]) for it in said["records"]}
    whole = len(numbers) == max(numbers) - min(numbers) + 1 if numbers else False
    up = query(site.telemetry, f'count_over_time(up{{service="calm"}}[{seconds}s])', since + seconds)
    own = query(site.telemetry, f'count_over_time(pelago_requests_total{{callee="calm",outcome="ok"}}[{seconds}s])',
                since + seconds)
    # No more than a thousand are listed at once.
    traces = {it["trace"] for start in range(since, since + seconds) for it in
              json.loads(site.get(f"/v1/traces?service=gateway&{between(start, start + 1)}"))["traces"]}
    number = lambda it: it[0]["value"][1] if it else "0"
    return (f"{len(numbers)}{' without a gap' if whole else ' WITH GAPS'}", f"{number(up)} of {seconds}",
            f"{number(own)} of {seconds // 5}", len(traces))


def flood(asked, name, mode):
    (port,) = free_ports(1)
    go = os.path.join(tempfile.mkdtemp(prefix="peflood", dir="/tmp"), "go")
    with Site(asked.pelago, flooded(mode, port, go), {"calm.sh": CALM.replace("PELAGO e", f"{asked.pelago} e")}) as site:
        time.sleep(8)
        pid = site.control.pid
        watch = Watch({"control": pid, **{"supervisor": it for it in processes(site.data, "supervise", "flood")}})
        before, cpu = memory_mib(pid), cpu_s(pid)
        load = Load([site.pelago, "--format", "json", "load", "--rate", "100/s", "--duration", f"{FLOOD_S}s",
                     "--header", "host: calm.localhost", f"http://127.0.0.1:{site.port}/"], site.environment)
        since = math.ceil(time.time())
        write(go, "")
        report = load.report()
        used = cpu_s(pid) - cpu
        # What was said is read every second, and traces are decided upon some seconds after their end.
        time.sleep(10)
        most = watch.end()
        did = ""
        if mode in ("spans", "zipkin", "lines"):
            site.until("the flood's end", lambda: os.path.exists(go + ".done"))
            with open(go + ".done", encoding="utf-8") as file:
                did = ", ".join(f"{value} {key}" for key, value in json.load(file).items())
        logs, scrapes, mesh, traces = kept(site, since, FLOOD_S - 1)
        signals, refused, targets = site.status()
        accepted = {signal: it["accepted"] for signal, it in signals.items()}
        row(name, report["offered"], lost(report), f"{report['latency']['p50_us'] / 1e3:.1f} ms",
            f"{report['latency']['p99_us'] / 1e3:.1f} ms", f"{used / FLOOD_S:.2f}",
            f"{before:.0f} / {most['control']:.0f} / {memory_mib(pid):.0f} MiB", logs, scrapes, mesh, traces)
        print(f"  flood: {did}; accepted: {accepted}; refused: {json.dumps(refused)}; "
              f"targets: {json.dumps([it for it in targets if it['error']])}; "
              f"disk: {size(os.path.join(site.data, 'telemetry')) / 1e6:.0f} MB; most: {most}", file=sys.stderr)
    shutil.rmtree(os.path.dirname(go))


def floods(asked):
    table(f"Another service's flood for {FLOOD_S} s beside 100/s on a route of `calm`", "flood", "requests", "lost",
          "p50", "p99", "control's cores", "its memory before / most / after", "lines", "scrapes", "samples of the mesh",
          "traces")
    for name, mode in FLOODS.items():
        if asked.flood in (None, mode or "nothing"):
            flood(asked, name, mode)


MESHED = """name: meshed
services:
  front: {behaviour: {work: 1ms, calls: [back]}, replicas: 2}
  back: {behaviour: {work: 1ms}, replicas: 2}
routes:
  - {host: front.localhost, service: front}
"""
NOT_SAMPLED = ["--header", "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"]


def cost(asked):
    rate, seconds = 2_000, 30
    table(f"{rate}/s through two services for {seconds} s, median of {asked.cost_rounds}: cores used", "traces",
          "control", "at rest", "data plane", "instances", "control's share of the traffic's", "p99", "lost")
    seen = {"sampled": [], "none": []}
    with Site(asked.pelago, MESHED) as site:
        time.sleep(5)
        control, plane = site.control.pid, site.data_plane()
        instances = [it["pid"] for service in ("front", "back") for it in site.instances(service)]
        measure = lambda: [cpu_s(control), cpu_s(plane), sum(cpu_s(it) for it in instances)]
        before = measure()
        time.sleep(15)
        rest = (measure()[0] - before[0]) / 15
        for _ in range(asked.cost_rounds):
            for name, options in (("sampled", []), ("none", NOT_SAMPLED)):
                load = Load([site.pelago, "--format", "json", "load", "--rate", f"{rate}/s", "--duration", f"{seconds}s",
                             "--header", "host: front.localhost", *options, f"http://127.0.0.1:{site.port}/"],
                            site.environment)
                before = measure()
                report = load.report()
                used = [(after - it) / seconds for after, it in zip(measure(), before)]
                seen[name].append((*used, report["latency"]["p99_us"] / 1e3, lost(report)))
                time.sleep(10)
    for name, found in seen.items():
        mine, plane, theirs, p99 = (statistics.median(it[place] for it in found) for place in range(4))
        row(name, f"{mine:.3f}", f"{rest:.3f}", f"{plane:.3f}", f"{theirs:.3f}",
            f"{mine / (plane + theirs) * 100:.1f} %", f"{p99:.1f} ms", "; ".join(sorted({it[4] for it in found})))


ALL = {"ingest": ingest, "query": query_, "floods": floods, "cost": cost}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(ALL), help="what to measure, with commas between")
    parser.add_argument("--seconds", type=int, default=60, help="of `ingest`")
    parser.add_argument("--rounds", type=int, default=7, help="of `query`")
    parser.add_argument("--cost-rounds", type=int, default=3, help="of `cost`")
    parser.add_argument("--flood", help="only this one: nothing, bomb, churn, spans, zipkin, lines")
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
