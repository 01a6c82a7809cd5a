#!/usr/bin/env python3
"""What the services of bench/long.py do, each on PORT. All they say is numbered, so that a client sees what is lost or doubled.

    long_services.py web      /events, an event every half second; /poll, an answer of a minute with a chunk every five seconds;
                              /upload, which says how many lines came and how often their numbers were not one more than before
    long_services.py socket   WebSocket: says back what it hears
    long_services.py stream   gRPC, /long.Echo/Both: the same
    long_services.py pool     TCP: the same
"""

import concurrent.futures
import http.server
import json
import os
import socketserver
import sys
import time

PORT = int(os.environ["PORT"])
EVENT_S = 0.5
CHUNKS, CHUNK_S = 12, 5.0


class Web(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        if self.path.startswith("/events"):
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            self.say_numbers("data: {}\n\n", sys.maxsize, EVENT_S)
        else:
            self.end_headers()
            self.say_numbers("{}\n", CHUNKS, CHUNK_S)

    def say_numbers(self, form, count, pause_s):
        try:
            for number in range(count):
                text = form.format(number).encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
                time.sleep(pause_s)
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True

    def do_POST(self):
        left, lines, breaks, expected = int(self.headers["content-length"]), 0, 0, 0
        while left and (line := self.rfile.readline(min(left, 100))):
            left -= len(line)
            lines += 1
            breaks += int(line) != expected
            expected = int(line) + 1
        answer = json.dumps({"lines": lines, "breaks": breaks}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def web():
    http.server.ThreadingHTTPServer.request_queue_size = 128
    http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Web).serve_forever()


def socket():
    from websockets.sync.server import serve

    def echo(connection):
        for message in connection:
            connection.send(message)

    with serve(echo, "127.0.0.1", PORT) as server:
        server.serve_forever()


def stream():
    import grpc

    def both(requests, _):
        yield from requests

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(64))
    methods = {"Both": grpc.stream_stream_rpc_method_handler(both)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("long.Echo", methods),))
    server.add_insecure_port(f"127.0.0.1:{PORT}")
    server.start()
    server.wait_for_termination()


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while block := self.request.recv(65536):
            self.request.sendall(block)


def pool():
    socketserver.ThreadingTCPServer.daemon_threads = True
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    socketserver.ThreadingTCPServer(("127.0.0.1", PORT), Echo).serve_forever()


if __name__ == "__main__":
    {it.__name__: it for it in (web, socket, stream, pool)}[sys.argv[1]]()
