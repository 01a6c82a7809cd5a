#!/usr/bin/env python3
"""What the services of bench/telemetry.py do: expose metrics, and flood.

    telemetry_services.py exporter     serves METRICS_PORT: SERIES series, counters, gauges and histograms
    telemetry_services.py calm         ten series, and a line ten times a second
    telemetry_services.py bomb         20 000 label values more in every scrape than in the one before
    telemetry_services.py churn        20 000 other label values in every scrape
    telemetry_services.py spans        50 000 spans a second, as OTLP in protobuf
    telemetry_services.py zipkin       the same, as JSON of Zipkin
    telemetry_services.py lines        100 MB of lines a second

Those that flood begin when the file FLOOD_GO names is there, and end SECONDS later; then they write what they did
to that file with `.done` at its end. All of them answer on PORT.
"""

import http.client
import http.server
import json
import math
import os
import struct
import sys
import threading
import time
import urllib.parse

SECONDS = 20
BOMB_VALUES = 20_000
SPANS_PER_S, SPANS_PER_BODY, SPANS_PER_TRACE = 50_000, 1_000, 8
LINES_BYTES_PER_S = 100_000_000
BOUNDS = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf")


def grown(number, second):
    """A counter that grows by up to 200 a second, unevenly; one of four stands still."""
    if number % 4 == 3:
        return number
    noise = (number * 2_654_435_761 ^ second * 2_246_822_519) * 3_266_489_917 >> 16 & 0x7F
    return second * (number % 100 + 1) + noise % (number % 100 + 1)


class Exposition:
    """Texts of a number of series: four in ten counters, two gauges, four of histograms. What they say depends on
    the second alone, so that whoever scrapes sees the same."""

    def __init__(self, series):
        self.counters = [f'requests_total{{route="/api/v1/things/{it}",method="GET",code="200"}} '
                         for it in range(series * 4 // 10)]
        self.gauges = [f'queue_depth_bytes{{queue="orders-{it}",shard="{it % 16}"}} ' for it in range(series * 2 // 10)]
        self.histograms = []
        for number in range(series * 4 // 10 // (len(BOUNDS) + 2)):
            label = f'route="/api/v1/things/{number}"'
            names = [f'duration_seconds_bucket{{{label},le="{bound}"}} ' for bound in BOUNDS]
            self.histograms.append((names, f"duration_seconds_sum{{{label}}} ", f"duration_seconds_count{{{label}}} "))

    def text(self, second):
        lines = ["# TYPE requests_total counter\n"]
        second %= 1_000_000
        lines += [f"{name}{grown(it, second)}\n" for it, name in enumerate(self.counters)]
        lines.append("# TYPE queue_depth_bytes gauge\n")
        wave = int(5_000 * (1 + math.sin(second / 20)))
        lines += [f"{name}{(wave + grown(it * 7, second) % 901) / 100}\n" for it, name in enumerate(self.gauges)]
        lines.append("# TYPE duration_seconds histogram\n")
        for number, (buckets, total, count) in enumerate(self.histograms):
            seen = grown(number * 5, second)
            lines += [f"{name}{seen * (it + 1) // len(BOUNDS)}\n" for it, name in enumerate(buckets)]
            lines.append(f"{total}{seen * 0.031:.3f}\n{count}{seen}\n")
        return "".join(lines).encode()


class Values:
    """Label values without end."""

    def __init__(self, mode):
        self.mode, self.scrapes = mode, 0

    def text(self, _second):
        if not is_on():
            return b"bomb_ready 1\n"
        self.scrapes += 1
        first = 0 if self.mode == "bomb" else (self.scrapes - 1) * BOMB_VALUES
        values = range(first, self.scrapes * BOMB_VALUES)
        return "".join(f'bomb_total{{user="user-{it}"}} {self.scrapes}\n' for it in values).encode()


def is_on():
    return os.path.exists(os.environ["FLOOD_GO"])


def serve(port, exposition=None):
    """Answers with what is exposed, or that all is well."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            body = exposition.text(int(time.time())) if exposition else b"well\n"
            self.send_response(200)
            self.send_header("content-type", "text/plain; version=0.0.4")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


def beside(port, exposition=None):
    threading.Thread(target=serve, args=(port, exposition), daemon=True).start()


def wait_for_go():
    while not is_on():
        time.sleep(0.05)


def done(**what):
    path = os.environ["FLOOD_GO"] + ".done"
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(what, file)
    os.rename(path + ".new", path)


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def attribute(key, value):
    return field(1, key) + field(2, field(1, value))


class Otlp:
    """Bodies of OTLP in protobuf."""

    path, content_type = "/v1/traces", "application/x-protobuf"

    def __init__(self):
        tags = {b"http.request.method": b"GET", b"http.route": b"/api/v1/things", b"http.response.status_code": b"200",
                b"server.address": b"things.internal", b"network.peer.address": b"10.1.2.3", b"thread.name": b"worker-7"}
        self.tags = b"".join(field(9, attribute(key, value)) for key, value in tags.items())
        self.resource = field(1, field(1, attribute(b"service.name", b"flood")))

    def body(self):
        now, random = time.time_ns(), os.urandom(SPANS_PER_BODY * 8 * 3)
        times = b"\x39" + struct.pack("<Q", now) + b"\x41" + struct.pack("<Q", now + 3_000_000)
        tail = b"\x2a\x04work" + times + self.tags
        spans = []
        for it in range(SPANS_PER_BODY):
            first = (it - it % SPANS_PER_TRACE) * 24
            trace, span = random[first:first + 16], random[it * 24 + 16:it * 24 + 24]
            spans.append(field(2, b"\x0a\x10" + trace + b"\x12\x08" + span + tail))
        return field(1, self.resource + field(2, b"".join(spans)))


class Zipkin:
    """Bodies of Zipkin's JSON."""

    path, content_type = "/api/v2/spans", "application/json"

    def body(self):
        now, random = time.time_ns() // 1_000, os.urandom(SPANS_PER_BODY * 24).hex()
        tail = (f'","name":"work","kind":"SERVER","timestamp":{now},"duration":3000,"localEndpoint":{{"serviceName":"flood"}},'
                '"tags":{"http.method":"GET","http.route":"/api/v1/things","http.status_code":"200"}}')
        spans = []
        for it in range(SPANS_PER_BODY):
            first = (it - it % SPANS_PER_TRACE) * 48
            spans.append(f'{{"traceId":"{random[first:first + 32]}","id":"{random[it * 48 + 32:it * 48 + 48]}{tail}')
        return f"[{','.join(spans)}]".encode()


def spans(bodies):
    """Sends at the rate, or as fast as it is taken."""
    to = urllib.parse.urlsplit(os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"])
    wait_for_go()
    connection = http.client.HTTPConnection(to.hostname, to.port, timeout=30)
    begin, sent, statuses = time.monotonic(), 0, {}
    while time.monotonic() < begin + SECONDS:
        connection.request("POST", bodies.path, bodies.body(), {"content-type": bodies.content_type})
        answer = connection.getresponse()
        answer.read()
        statuses[answer.status] = statuses.get(answer.status, 0) + 1
        sent += SPANS_PER_BODY
        time.sleep(max(0.0, begin + sent / SPANS_PER_S - time.monotonic()))
    done(spans=sent, statuses=statuses)


def lines():
    """Writes at the rate, or as fast as it is taken."""
    wait_for_go()
    line = b'{"level":"info","msg":"something that nobody will ever read","attempt":17,"user":"user-4711","took_ms":12}\n'
    block = line * 10_000
    begin, sent = time.monotonic(), 0
    while time.monotonic() < begin + SECONDS:
        left = memoryview(block)
        while left:
            left = left[os.write(1, left):]
        sent += len(block)
        time.sleep(max(0.0, begin + sent / LINES_BYTES_PER_S - time.monotonic()))
    done(bytes=sent, lines=sent // len(line))


def main():
    mode, port = sys.argv[1], int(os.environ["PORT"])
    if mode == "exporter":
        serve(port, Exposition(int(os.environ["SERIES"])))
    elif mode == "calm":
        beside(int(os.environ["METRICS_PORT"]), Exposition(10))
        count = 0
        while True:
            count += 1
            print(f"all is calm, line {count}", flush=True)
            time.sleep(0.1)
    elif mode in ("bomb", "churn"):
        serve(port, Values(mode))
    else:
        beside(port)
        {"spans": lambda: spans(Otlp()), "zipkin": lambda: spans(Zipkin()), "lines": lines}[mode]()
        threading.Event().wait()


if __name__ == "__main__":
    main()
