#!/usr/bin/env python3
"""The services of bench/attack.py, each on PORT.

    attack_services.py web     HTTP/1.1: /quick at once, /slow after 40 ms, /big 10 MB; POST /take reads its body, POST /stall does not
    attack_services.py calls   gRPC, /attack.Kinds/: Quick, Slow, Big and Stall do the same
"""

import asyncio
import os
import socket
import sys

PORT = int(os.environ["PORT"])
SLOW_S, STALL_S = 0.04, 120.0
BIG_BYTES, BLOCK = 10_000_000, b"x" * 65536
SMALL = b"x" * 128
# What is taken ahead of who reads it: little, so that an upload nobody reads stalls soon.
AHEAD_BYTES = 65536


def answer(body=b"", length=None):
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body) if length is None else length, body)


async def serve(reader, writer):
    try:
        while line := await reader.readline():
            target, length = line.split()[1], 0
            while (header := await reader.readline()) not in (b"\r\n", b""):
                name, _, value = header.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            await respond(target, length, reader, writer)
            await writer.drain()
    except (OSError, EOFError, ValueError):
        pass
    finally:
        writer.close()


async def respond(target, length, reader, writer):
    if target.startswith(b"/stall"):
        await asyncio.sleep(STALL_S)
    while length:
        length -= len(await reader.readexactly(min(length, 65536)))
    if target.startswith(b"/slow"):
        await asyncio.sleep(SLOW_S)
    if target.startswith(b"/big"):
        writer.write(answer(length=BIG_BYTES))
        for sent in range(0, BIG_BYTES, len(BLOCK)):
            writer.write(BLOCK[:BIG_BYTES - sent])
            await writer.drain()
    else:
        writer.write(answer(SMALL))


async def web():
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, AHEAD_BYTES)
    listener.bind(("127.0.0.1", PORT))
    server = await asyncio.start_server(serve, sock=listener, backlog=1024)
    await server.serve_forever()


async def calls():
    import grpc

    async def quick(request, _):
        return request

    async def slow(request, _):
        await asyncio.sleep(SLOW_S)
        return request

    async def big(_, context):
        for _ in range(0, BIG_BYTES, len(BLOCK)):
            await context.write(BLOCK)

    async def stall(_requests, _):
        await asyncio.sleep(STALL_S)
        return b""

    server = grpc.aio.server(options=[("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", AHEAD_BYTES)])
    methods = {"Quick": grpc.unary_unary_rpc_method_handler(quick), "Slow": grpc.unary_unary_rpc_method_handler(slow),
               "Big": grpc.unary_stream_rpc_method_handler(big), "Stall": grpc.stream_unary_rpc_method_handler(stall)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("attack.Kinds", methods),))
    server.add_insecure_port(f"127.0.0.1:{PORT}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run({it.__name__: it for it in (web, calls)}[sys.argv[1]]())
