#!/usr/bin/env python3
"""The clients of bench/attack.py, which starts them: ten attackers of one kind, or ten that only compute, or a victim in gRPC.

    attack_clients.py KIND --port PORT --host HOST --seconds 7 [--share 0.1] [--rate 100] [--method Quick] [--stalled 4]

Says in JSON what it saw and the processor time it used. Frames of HTTP/2 are made by hand: no library breaks its rules. All
that is sent is bounded, in rate and in sum.
"""

import argparse
import asyncio
import collections
import json
import os
import resource
import socket
import struct
import time

ATTACKERS = 10
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
INITIAL_WINDOW = 4
UPLOAD_BYTES = 10_000_000


def integer(value, bits):
    """A number as HPACK writes it, below a prefix of zeros."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([value])
    value -= most
    out = [most]
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + [value])


def packed(headers):
    """Headers, each written out."""
    return b"".join(b"\0" + integer(len(name), 7) + name.encode() + integer(len(value), 7) + value.encode()
                    for name, value in headers)


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


class Client:
    """One attacker: where it goes, until when, and what it saw."""

    def __init__(self, asked, number, seen):
        self.port, self.host, self.seen, self.number = asked.port, asked.host, seen, number
        self.until = time.monotonic() + asked.seconds

    def left(self):
        return self.until - time.monotonic()

    async def paced(self, rate):
        """One turn after the other, at this rate, until the end."""
        due = time.monotonic() + self.number / ATTACKERS / rate
        while due < self.until:
            await asyncio.sleep(due - time.monotonic())
            yield
            # What could not be done in time is left out: the rate is a bound.
            due = max(due + 1 / rate, time.monotonic())

    async def open(self, receive_bytes=None):
        stream = socket.socket()
        if receive_bytes:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        stream.setblocking(False)
        await asyncio.get_running_loop().sock_connect(stream, ("127.0.0.1", self.port))
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return await asyncio.open_connection(sock=stream, limit=receive_bytes or 65536)

    def head(self, method, target, *headers):
        return "\r\n".join([f"{method} {target} HTTP/1.1", f"host: {self.host}", *headers, "", ""]).encode()

    async def status(self, reader):
        """Reads one answer, and counts its status."""
        head = await reader.readuntil(b"\r\n\r\n")
        self.seen[head.split()[1].decode()] += 1
        fields = dict(it.lower().split(": ", 1) for it in head.decode("latin-1").split("\r\n")[1:] if it)
        await reader.readexactly(int(fields.get("content-length", 0)))
        return fields.get("connection") != "close"

    async def again(self, once):
        """The same again and again, when what it is done on was closed."""
        while self.left() > 0:
            try:
                await once()
            except (OSError, EOFError) as error:
                self.seen[type(error).__name__] += 1
            await asyncio.sleep(0.2)


class Frames:
    """A connection of HTTP/2. What comes is read and acknowledged, and no window is opened for it."""

    def __init__(self, client, settings=()):
        self.client, self.settings, self.stream, self.windows = client, settings, -1, collections.Counter()
        self.initial = self.connection = 65535

    async def __aenter__(self):
        self.reader, self.writer = await self.client.open()
        settings = b"".join(struct.pack(">HI", name, value) for name, value in self.settings)
        self.writer.write(PREFACE + frame(SETTINGS, 0, 0, settings))
        self.reads = asyncio.create_task(self.read())
        return self

    async def __aexit__(self, *_):
        self.reads.cancel()
        self.writer.close()

    def ask(self, method, target, *headers, ends=True, resets=False):
        self.stream += 2
        block = packed([(":method", method), (":scheme", "http"), (":authority", self.client.host), (":path", target),
                        *headers])
        parts = [block[it:it + 16384] for it in range(0, len(block), 16384)]
        out = b""
        for number, part in enumerate(parts):
            flags = (END_HEADERS if number + 1 == len(parts) else 0) | (END_STREAM if ends and number == 0 else 0)
            out += frame(CONTINUATION if number else HEADERS, flags, self.stream, part)
        if resets:
            out += frame(RESET, 0, self.stream, struct.pack(">I", 8))
        self.writer.write(out)
        return self.stream

    def call(self, method, *headers, ends=False):
        stream = self.ask("POST", f"/attack.Kinds/{method}", ("content-type", "application/grpc"), ("te", "trailers"),
                          *headers, ends=False)
        if ends:
            self.writer.write(frame(DATA, END_STREAM, stream, b"\0" + struct.pack(">I", 1) + b"x"))
        return stream

    def upload(self, stream, content):
        """As much as the windows of stream and connection let pass."""
        sent = 0
        while sent < len(content):
            size = min(16384, len(content) - sent, self.initial + self.windows[stream], self.connection)
            if size <= 0:
                break
            self.writer.write(frame(DATA, 0, stream, content[sent:sent + size]))
            self.windows[stream] -= size
            self.connection -= size
            sent += size
        return sent

    async def read(self):
        try:
            while True:
                head = await self.reader.readexactly(9)
                kind, flags = head[3], head[4]
                stream = int.from_bytes(head[5:9], "big")
                payload = await self.reader.readexactly(int.from_bytes(head[:3], "big"))
                self.take(kind, flags, stream, payload)
        except (OSError, EOFError):
            self.client.seen["closed"] += 1

    def take(self, kind, flags, stream, payload):
        seen = self.client.seen
        if kind == SETTINGS and not flags & ACK:
            for at in range(0, len(payload), 6):
                name, value = struct.unpack_from(">HI", payload, at)
                if name == INITIAL_WINDOW:
                    self.initial = value
            self.writer.write(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self.writer.write(frame(PING, ACK, 0, payload))
        elif kind == WINDOW:
            increment = int.from_bytes(payload, "big")
            if stream:
                self.windows[stream] += increment
            else:
                self.connection += increment
        elif kind in (HEADERS, RESET, GOAWAY):
            seen[{HEADERS: "heads of answers", RESET: "streams reset", GOAWAY: "GOAWAY"}[kind]] += 1

    async def open_until(self, done):
        """Goes on until the end, or until the connection is closed."""
        await asyncio.wait([self.reads, asyncio.ensure_future(done)], return_when=asyncio.FIRST_COMPLETED)


async def hold(client, begin, settings=()):
    """A connection of HTTP/2 on which something is begun, and then nothing moves."""
    async def once():
        async with Frames(client, settings) as frames:
            begin(frames)
            await frames.open_until(asyncio.sleep(client.left()))
    await client.again(once)


def many(begin, count):
    def all_of_them(frames):
        for _ in range(count):
            begin(frames)
    return all_of_them


async def window_large(client):
    await hold(client, many(lambda it: it.ask("GET", "/big"), 6), [(INITIAL_WINDOW, 0)])


async def window_small(client):
    await hold(client, many(lambda it: it.ask("GET", "/quick"), 100), [(INITIAL_WINDOW, 0)])


async def window_calls(client):
    await hold(client, many(lambda it: it.call("Big", ends=True), 6), [(INITIAL_WINDOW, 0)])


async def unread(client):
    """Six connections that ask for much and read nothing."""
    async def once():
        opened = [await client.open(4096) for _ in range(6)]
        for _, writer in opened:
            writer.write(client.head("GET", "/big"))
        await asyncio.sleep(client.left())
        for _, writer in opened:
            writer.close()
    await client.again(once)


async def unread_frames(client):
    """One connection of HTTP/2 with large windows, of which nothing is read."""
    async def once():
        _, writer = await client.open(4096)
        frames = Frames(client)
        frames.writer = writer
        writer.write(PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW, 0x7FFFFFFF))
                     + frame(WINDOW, 0, 0, struct.pack(">I", 0x7FFF0000)))
        many(lambda it: it.ask("GET", "/big"), 6)(frames)
        await asyncio.sleep(client.left())
        writer.close()
    await client.again(once)


async def stalled_calls(client):
    """Four calls on one connection whose messages the service does not read."""
    async def once():
        async with Frames(client) as frames:
            message = b"\0" + struct.pack(">I", 65536) + b"x" * 65536
            streams = [frames.call("Stall") for _ in range(4)]
            async for _ in client.paced(10):
                if frames.reads.done():
                    return
                for stream in streams:
                    client.seen["bytes sent"] += frames.upload(stream, message)
    await client.again(once)


async def stalled_uploads(client):
    """Four uploads over HTTP/1.1 that the service does not read."""
    async def once():
        opened = [await client.open() for _ in range(4)]
        for _, writer in opened:
            writer.write(client.head("POST", "/stall", f"content-length: {UPLOAD_BYTES}"))
        async for _ in client.paced(10):
            for _, writer in opened:
                if writer.transport.get_write_buffer_size() == 0:
                    writer.write(b"x" * 65536)
                    client.seen["bytes sent"] += 65536
        for _, writer in opened:
            writer.transport.abort()
    await client.again(once)


async def trickle(client, head, piece):
    """Ten connections on which something comes five times a second."""
    async def once():
        reader, writer = await client.open()
        writer.write(head)
        answer = asyncio.create_task(client.status(reader))
        async for _ in client.paced(5):
            if answer.done():
                break
            writer.write(piece)
        answer.cancel()
        writer.close()
    await asyncio.gather(*(client.again(once) for _ in range(10)))


async def slow_heads(client):
    await trickle(client, b"GET /quick HTTP/1.1\r\nx-slow: ", b"x")


async def slow_uploads(client):
    await trickle(client, client.head("POST", "/take", "content-length: 100000") + b"x" * 20_000, b"x" * 60)


async def too_slow_uploads(client):
    await trickle(client, client.head("POST", "/take", "content-length: 100000") + b"x" * 10, b"x")


async def requests(client, rate, head):
    """Requests one after the other, at a bounded rate."""
    async def once():
        reader, writer = await client.open()
        try:
            async for _ in client.paced(rate):
                writer.write(head)
                if not await client.status(reader):
                    return
        finally:
            writer.close()
    await client.again(once)


async def deadlines(client):
    await requests(client, 20, client.head("GET", "/slow", "x-pelago-timeout-ms: 5"))


async def deadlines_calls(client):
    async def once():
        async with Frames(client) as frames:
            async for _ in client.paced(20):
                if frames.reads.done():
                    return
                frames.call("Slow", ("grpc-timeout", "5m"), ends=True)
    await client.again(once)


async def flood(client):
    await requests(client, 100, client.head("GET", "/quick"))


async def idle(client):
    opened = [await client.open() for _ in range(100)]
    await asyncio.sleep(client.left())
    for reader, writer in opened:
        client.seen["closed" if reader.at_eof() else "open to the end"] += 1
        writer.close()


async def framed(client, rate, send):
    """Frames at a bounded rate, on one connection as long as that is not closed."""
    async def once():
        async with Frames(client) as frames:
            async for _ in client.paced(rate):
                if frames.reads.done():
                    return
                send(frames)
                client.seen["sent"] += 1
                await frames.writer.drain()
    await client.again(once)


async def resets(client):
    await framed(client, 100, lambda it: it.ask("GET", "/slow", resets=True))


async def pings(client):
    await framed(client, 100, lambda it: it.writer.write(frame(PING, 0, 0, b"x" * 8) * 5))


async def settings(client):
    some = frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW, 65535))
    await framed(client, 100, lambda it: it.writer.write(some * 5))


async def huge_heads(client):
    async def once():
        reader, writer = await client.open()
        try:
            writer.write(client.head("GET", "/quick", *(f"x-{it}: {'x' * 4000}" for it in range(64))))
            client.seen["sent"] += 1
            await client.status(reader)
        finally:
            writer.close()
    async for _ in client.paced(10):
        try:
            await once()
        except (OSError, EOFError) as error:
            client.seen[type(error).__name__] += 1


async def huge_frames(client):
    large = [(f"x-{it}", "x" * 4000) for it in range(64)]
    await framed(client, 10, lambda it: it.ask("GET", "/quick", *large))


async def refused_uploads(client):
    """Bodies that are said to be larger than they may be: a megabyte of each is sent, as long as it is taken."""
    async def once():
        reader, writer = await client.open()
        try:
            writer.write(client.head("POST", "/take", f"content-length: {UPLOAD_BYTES}"))
            answer = asyncio.create_task(client.status(reader))
            for _ in range(16):
                writer.write(b"x" * 65536)
                await writer.drain()
                client.seen["bytes sent"] += 65536
                if answer.done():
                    break
            await asyncio.wait_for(answer, 5)
        finally:
            writer.close()
    async for _ in client.paced(5):
        try:
            await once()
        except (OSError, EOFError, asyncio.TimeoutError) as error:
            client.seen[type(error).__name__] += 1


KINDS = {it.__name__: it for it in (
    window_large, window_small, window_calls, unread, unread_frames, stalled_calls, stalled_uploads, slow_heads, slow_uploads,
    too_slow_uploads, deadlines, deadlines_calls, flood, idle, resets, pings, settings, huge_heads, huge_frames, refused_uploads)}


async def compute(asked):
    """Uses a share of a core in ten small pieces a hundredth of a second, and sends nothing."""
    ends = time.monotonic() + asked.seconds
    while time.monotonic() < ends:
        began, used = time.monotonic(), time.process_time()
        while time.process_time() - used < asked.share / 100:
            pass
        await asyncio.sleep(max(0.0, 0.01 - (time.monotonic() - began)))


async def victim(asked):
    """Calls at an even rate; each is measured from when it was due."""
    import grpc

    options = [("grpc.default_authority", asked.host)]
    taken, failed = [], collections.Counter()

    async def one(call, due):
        try:
            await call(b"x" * 128, timeout=10)
            taken.append(time.monotonic() - due)
        except grpc.aio.AioRpcError as error:
            failed[error.code().name] += 1

    async def forever():
        while True:
            yield b"x" * 65536

    async with grpc.aio.insecure_channel(f"127.0.0.1:{asked.port}", options=options) as channel:
        call = channel.unary_unary(f"/attack.Kinds/{asked.method}")
        await call(b"x", timeout=10)
        stall = channel.stream_unary("/attack.Kinds/Stall")
        stalled = [stall(forever()) for _ in range(asked.stalled)]
        if stalled:
            await asyncio.sleep(1)
        began, tasks = time.monotonic(), []
        for number in range(int(asked.rate * asked.seconds)):
            due = began + number / asked.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            tasks.append(asyncio.create_task(one(call, due)))
        await asyncio.gather(*tasks)
        for it in stalled:
            it.cancel()
    taken.sort()
    return {"offered": len(tasks), "errors": failed,
            **{f"p{it}_us": round(taken[int(len(taken) * it / 100)] * 1e6) if taken else 0 for it in (50, 99)}}


async def play(asked):
    if asked.kind == "victim":
        return await victim(asked)
    seen = collections.Counter()
    if asked.kind == "compute":
        await compute(asked)
    else:
        await asyncio.gather(*(KINDS[asked.kind](Client(asked, it, seen)) for it in range(ATTACKERS)))
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"seen": seen, "cpu_s": used.ru_utime + used.ru_stime}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["victim", "compute", *KINDS])
    parser.add_argument("--port", type=int)
    parser.add_argument("--host", default="")
    parser.add_argument("--seconds", type=float, default=7)
    parser.add_argument("--share", type=float, default=0.1, help="of a core, for `compute`")
    parser.add_argument("--rate", type=float, default=100, help="calls a second, of `victim`")
    parser.add_argument("--method", default="Quick", help="that `victim` calls")
    parser.add_argument("--stalled", type=int, default=0, help="uploads that stall on the connection of `victim`")
    asked = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 4096), most))
    print(json.dumps(asyncio.run(play(asked))), flush=True)
    # Some connections are left as they are: nothing waits for them.
    os._exit(0)


if __name__ == "__main__":
    main()
