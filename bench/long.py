#!/usr/bin/env python3
"""Long connections over everything that changes beneath them: are they cut, is anything in them lost or doubled?

    cargo build --release && scripts/clients && target/clients/bin/python bench/long.py [--minutes 10]

Six kinds of connections are held, each `--each` times through the gateway and over a declared call, half of them from the beginning
and the others from later on, by clients that people use where there are some (grpcio, websockets):

  tcp        a pool's: a line every three seconds, and some that say nothing between their first line and their last (calls only)
  events     an event stream: what comes every half second is numbered
  socket     a WebSocket: a numbered message a second, which comes back
  stream     a call of gRPC in both directions: the same
  poll       an answer that takes a minute, with a chunk now and then; begun anew when it ends
  upload     a body that takes as long as everything, 500 bytes a second, in numbered lines

Meanwhile, one after the other in twenty turns: other services are deployed (ten times), control is killed with -9 and started again
(four times), is told options that are its own (twice), and the data plane is replaced `--replacements` times (four, as many as live
on beside the one that serves): told another number of workers, told to log requests, and upgraded to another file. Ordinary requests
come beside all of it, through two services that are deployed. Everything listens on loopback, and everything that was started is
stopped.
"""

import argparse
import asyncio
import collections
import itertools
import json
import os
import statistics
import sys
import time

import grpc
import websockets.asyncio.client
import websockets.exceptions

from mesh import ROOT, Load, lost, row, table
from proxies import Stopped
from running import Application

HELD = {"pool": "tcp", "web": "http", "socket": "http", "stream": "grpc"}
PING_S, MESSAGE_S = 3.0, 1.0
LINE_BYTES, LINES, LINES_S = 10, 25, 0.5
ANSWER_S = 20.0


def manifest():
    """What holds the connections, and a shop beside it that is deployed again and again."""
    held = "\n".join(f"""  {name}: {{replicas: 2, artifact: ./program, protocol: {protocol},
    command: [{sys.executable}, long_services.py, {name}]}}""" for name, protocol in HELD.items())
    routes = "\n".join(f"  - {{host: {it}.localhost, service: {it}}}" for it in HELD if it != "pool")
    return f"""name: long
defaults:
  healthcheck: {{tcp: true, interval: 1s}}
  update: {{keep_old: 0s}}
services:
{held}
  caller: {{command: sleep 1000000, healthcheck: none, calls: [{", ".join(HELD)}]}}
  shop: {{replicas: 2, behaviour: {{work: 1ms, calls: [stock]}}}}
  stock: {{replicas: 2, behaviour: {{work: 1ms}}}}
routes:
  - {{host: shop.localhost, service: shop}}
{routes}
"""


class Book:
    """What came of the connections of one kind, by one way."""

    def __init__(self):
        self.held_s, self.cuts = [], []
        self.messages = self.lost = self.doubled = self.unanswered = self.begun = self.between = 0


class Clock:
    """Until when connections are held, and what happens now."""

    def __init__(self, seconds):
        self.ends = time.monotonic() + seconds
        self.change = "nothing"
        self.changed = time.monotonic()

    def left(self):
        return self.ends - time.monotonic()


class Holder:
    """One connection that is held to the end; begun again when it was cut."""

    def __init__(self, book, clock, host, port):
        self.book, self.clock, self.host, self.port = book, clock, host, port

    async def hold(self, begins):
        await asyncio.sleep(begins - time.monotonic())
        while self.clock.left() > 0:
            began = time.monotonic()
            self.book.begun += 1
            try:
                await self.once()
            except (OSError, EOFError, ValueError, asyncio.TimeoutError, asyncio.InvalidStateError, grpc.aio.AioRpcError,
                    websockets.exceptions.WebSocketException) as error:
                since = time.monotonic() - self.clock.changed
                self.book.cuts.append((self.clock.change, f"{since:.1f} s after it began", said(error)))
                await asyncio.sleep(1.0)
            self.book.held_s.append(time.monotonic() - began)

    async def once(self):
        """One connection, until the end or until it is cut, which is an error."""
        raise NotImplementedError

    async def open(self):
        return await asyncio.open_connection("127.0.0.1", self.port)

    def count(self, number, expected):
        """Books a numbered message; the number that should be the next."""
        self.book.messages += 1
        if number > expected:
            self.book.lost += number - expected
        elif number < expected:
            self.book.doubled += 1
        return max(number + 1, expected)

    async def answered(self, answer):
        """What comes back for what was sent; it counts as unanswered where nothing does."""
        try:
            return await asyncio.wait_for(answer, ANSWER_S)
        except BaseException:
            self.book.unanswered += 1
            raise


def said(error):
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{error.code().name} {error.details()}"
    return f"{type(error).__name__} {error}"


class Pool(Holder):
    def __init__(self, *arguments, pause_s=PING_S):
        super().__init__(*arguments)
        self.pause_s = pause_s

    async def once(self):
        reader, writer = await self.open()
        try:
            expected = 0
            for number in itertools.count():
                writer.write(b"%d\n" % number)
                line = await self.answered(reader.readline())
                if not line:
                    self.book.unanswered += 1
                    raise EOFError("closed")
                expected = self.count(int(line), expected)
                if self.clock.left() <= 0:
                    return
                # What is idle is read as well, so that a cut is seen when it happens.
                pause_s = max(0.0, min(self.pause_s, self.clock.left()))
                try:
                    if not await asyncio.wait_for(reader.read(1), pause_s):
                        raise EOFError("closed while idle")
                    raise ValueError("it spoke unasked")
                except asyncio.TimeoutError:
                    pass
        finally:
            writer.close()


def ask(method, target, host, *headers):
    return "\r\n".join([f"{method} {target} HTTP/1.1", f"host: {host}", *headers, "", ""]).encode()


async def head(reader):
    """The status of the answer that comes next, and its headers."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
    headers = dict(it.split(": ", 1) for it in lines[1:] if it)
    return int(lines[0].split()[1]), headers


async def chunk(reader):
    """The next chunk; nothing at the answer's end."""
    size = int(await reader.readline() or b"closed", 16)
    return (await reader.readexactly(size + 2))[:-2]


async def good_head(reader):
    status, headers = await head(reader)
    if status != 200:
        raise ValueError(f"status {status} {headers.get('x-pelago-reason', '')}")
    return headers


class Events(Holder):
    async def once(self):
        reader, writer = await self.open()
        try:
            writer.write(ask("GET", "/events", self.host))
            await good_head(reader)
            expected = 0
            while self.clock.left() > 0:
                event = await asyncio.wait_for(chunk(reader), ANSWER_S)
                if not event:
                    raise EOFError("the stream ended")
                expected = self.count(int(event.removeprefix(b"data: ")), expected)
        finally:
            writer.close()


class Poll(Holder):
    """Holds a connection as clients do: used again while it is open, and another where it was closed between two answers."""

    async def once(self):
        reader, writer = await self.open()
        try:
            for asked in itertools.count():
                writer.write(ask("GET", "/poll", self.host))
                try:
                    headers = await good_head(reader)
                except (OSError, EOFError):
                    if asked == 0:
                        raise
                    self.book.between += 1
                    return
                expected = 0
                while line := await asyncio.wait_for(chunk(reader), ANSWER_S):
                    expected = self.count(int(line), expected)
                    if self.clock.left() <= 0:
                        return
                if headers.get("connection") == "close":
                    return
        finally:
            writer.close()


class Upload(Holder):
    async def once(self):
        pieces = max(1, int(self.clock.left() / LINES_S) - 2)
        reader, writer = await self.open()
        try:
            length = pieces * LINES * LINE_BYTES
            writer.write(ask("POST", "/upload", self.host, f"content-length: {length}"))
            answer = asyncio.create_task(good_head(reader))
            began = time.monotonic()
            for piece in range(pieces):
                numbers = range(piece * LINES, (piece + 1) * LINES)
                writer.write(b"".join(b"%09d\n" % it for it in numbers))
                await writer.drain()
                due = began + (piece + 1) * LINES_S - time.monotonic()
                await asyncio.wait([answer], timeout=max(0.0, due))
                if answer.done() and piece + 1 < pieces:
                    raise ValueError(f"answered before its end: {await answer}")
            told = json.loads(await reader.readexactly(int((await self.answered(answer))["content-length"])))
            self.book.messages += told["lines"]
            # A line too many shows as a break in the numbers too: the body has the length that was told.
            self.book.lost += max(told["breaks"], pieces * LINES - told["lines"])
            await asyncio.sleep(max(0.0, self.clock.left()))
        finally:
            writer.close()


class Socket(Holder):
    async def once(self):
        connect = websockets.asyncio.client.connect
        async with connect(f"ws://{self.host}/", host="127.0.0.1", port=self.port, proxy=None) as connection:
            expected = 0
            for number in itertools.count():
                await connection.send(str(number))
                expected = self.count(int(await self.answered(connection.recv())), expected)
                if self.clock.left() <= 0:
                    return
                await asyncio.sleep(MESSAGE_S)


class Stream(Holder):
    async def once(self):
        options = [("grpc.default_authority", self.host), ("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.port}", options=options) as channel:
            call = channel.stream_stream("/long.Echo/Both")()
            expected = 0
            for number in itertools.count():
                await call.write(str(number).encode())
                back = await self.answered(call.read())
                if back is grpc.aio.EOF:
                    raise EOFError("the call ended")
                expected = self.count(int(back), expected)
                if self.clock.left() <= 0:
                    await call.done_writing()
                    return
                await asyncio.sleep(MESSAGE_S)


KINDS = {"events": (Events, "web"), "socket": (Socket, "socket"), "stream": (Stream, "stream"),
         "poll": (Poll, "web"), "upload": (Upload, "web")}


def holders(asked, application, clock):
    """Every connection that is held, and the books, by kind and way."""
    books, found = {}, []

    def add(name, way, make):
        book = books[name, way] = Book()
        found.extend(make(book) for _ in range(asked.each))

    pool = application.call("pool")
    add(f"tcp, a line every {PING_S:.0f} s", "call", lambda book: Pool(book, clock, "", pool))
    add("tcp, idle", "call", lambda book: Pool(book, clock, "", pool, pause_s=1e9))
    for name, (kind, service) in KINDS.items():
        host, port = f"{service}.localhost", application.call(service)
        add(name, "gateway", lambda book, kind=kind, host=host: kind(book, clock, host, application.gateway))
        add(name, "call", lambda book, kind=kind, host=host, port=port: kind(book, clock, host, port))
    return books, found


def changes(asked, application):
    """What happens, one a turn: its name, and what does it."""
    strategies = itertools.cycle(["rolling", "bluegreen", "immediate"])
    workers = itertools.cycle(["2", "1"])
    sizes = itertools.cycle(["2GiB", "3GiB"])
    log = itertools.cycle([os.path.join(application.folder, "access.log"), "none"])

    def deploy():
        application.run("deploy", "shop", "stock", "--force", "--strategy", next(strategies))

    replace = itertools.cycle([
        ("replaced: workers", lambda: application.restart_control("--proxy-workers", next(workers))),
        ("replaced: another binary", application.upgrade),
        ("replaced: access log", lambda: application.restart_control("--access-log", next(log))),
        ("replaced: another binary", application.upgrade)])
    kill = ("control killed", application.kill_control)
    option = ("option of control", lambda: application.restart_control("--telemetry-size", next(sizes)))
    other = ("deploy", deploy)
    fixed = [other, kill, other, other, kill, other, option, other, other, kill, other, other, option, other, kill, other]
    turns = list(fixed)
    # Evenly among the others, the first of them early.
    for number in range(asked.replacements):
        turns.insert(2 + number * (len(fixed) + asked.replacements) // max(1, asked.replacements), next(replace))
    return turns


class Change:
    """What one kind of change came to."""

    def __init__(self):
        self.times = self.requests = self.cut = 0
        self.failures = []


async def play(asked, application):
    turns = changes(asked, application)
    clock = Clock(asked.minutes * 60)
    turn_s = asked.minutes * 60 / len(turns)
    books, found = holders(asked, application, clock)
    began, held = time.monotonic(), []
    for number, it in enumerate(found):
        # Every other one begins later, one after the other until a tenth of the time is left, so that each data plane has some.
        later = number / len(found) * 0.9 if number % 2 else 0.0
        held.append(asyncio.create_task(it.hold(began + later * asked.minutes * 60)))
    outcomes, planes = collections.defaultdict(Change), []
    for number, (name, change) in enumerate(turns):
        began = time.monotonic()
        clock.change, clock.changed = name, began + min(2.0, turn_s / 4)
        load = Load([asked.pelago, "--format", "json", "load", "--rate", f"{asked.rate}/s", "--duration",
                     f"{turn_s - 1:.1f}s", "--header", "host: shop.localhost", f"http://127.0.0.1:{application.gateway}/"])
        await asyncio.sleep(clock.changed - time.monotonic())
        await asyncio.to_thread(change)
        report = await asyncio.to_thread(load.report)
        planes.append(len(application.data_planes()))
        outcome = outcomes[name]
        outcome.times += 1
        outcome.requests += report["offered"]
        if lost(report) != "0":
            outcome.failures.append(lost(report))
        print(f"turn {number + 1} of {len(turns)}: {name}, {report['offered']} requests, lost {lost(report)}; data planes "
              f"{planes[-1]}, cut so far {sum(len(it.cuts) for it in books.values())}, load {os.getloadavg()[0]:.1f}",
              file=sys.stderr, flush=True)
        await asyncio.sleep(max(0.0, began + turn_s - time.monotonic()))
    clock.change = "the end"
    await asyncio.wait_for(asyncio.gather(*held), 90)
    return books, outcomes, planes


def tell(asked, books, outcomes, planes):
    table(f"{asked.minutes:g} minutes, {asked.each} connections of each", "kind", "by", "held, median", "messages", "lost",
          "doubled", "unanswered", "cut")
    for (name, way), book in books.items():
        for cut in book.cuts:
            outcomes[cut[0]].cut += 1
        cuts = collections.Counter(f"{change} ({error})" for change, _, error in book.cuts)
        cut = ", ".join(f"{count} x {it}" for it, count in cuts.items()) or "0"
        between = f"; {book.between} closed between two answers" if book.between else ""
        row(name, way, f"{statistics.median(book.held_s):.0f} s", book.messages, book.lost, book.doubled, book.unanswered,
            cut + between)
    table(f"Ordinary requests beside them, {asked.rate}/s", "what happens", "times", "requests", "lost", "long connections cut")
    for name, it in outcomes.items():
        row(name, it.times, it.requests, "; ".join(it.failures) or "0", it.cut)
    print(f"\ndata planes at most: {max(planes)}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="at least 5")
    parser.add_argument("--each", type=int, default=4, help="connections of each kind, by each way")
    parser.add_argument("--rate", type=int, default=50, help="ordinary requests a second")
    parser.add_argument("--replacements", type=int, default=4, help="of the data plane")
    parser.add_argument("--pelago", default=os.path.join(ROOT, "target/release/pelago"))
    asked = parser.parse_args()
    if asked.minutes < 5:
        sys.exit("a turn must have time for a deploy: at least five minutes")
    asked.pelago = os.path.abspath(asked.pelago)
    if not os.access(asked.pelago, os.X_OK):
        sys.exit(f"there is no {asked.pelago}: cargo build --release")
    try:
        with Application(asked.pelago, manifest(), os.path.join(ROOT, "bench/long_services.py")) as application:
            tell(asked, *asyncio.run(play(asked, application)))
    except Stopped as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
