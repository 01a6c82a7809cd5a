"""Who is about to buy what.

GET    /carts/USER          the cart
POST   /carts/USER          {"sku": "tea", "quantity": 2}: puts it in
DELETE /carts/USER          empties it

Carts are kept in memory, and lost with it.
"""

import collections
import contextlib
import json
import os
import signal
import threading
import time
import traceback
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME = "cart"
BODY_MAX = 64 << 10
CARTS_MAX = 10_000      # the one not used for longest makes room
ITEMS_MAX = 100         # different products in one cart
QUANTITY_MAX = 1_000    # of each

CARTS = collections.OrderedDict()
LOCK = threading.Lock()


class Problem(Exception):
    """Why a request is not answered with 200."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status, self.text = status, text


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"     # connections are kept
    disable_nagle_algorithm = True
    wbufsize = -1                     # head and body leave together
    timeout = 75                      # an idle connection is closed after this

    def do_GET(self):
        self.handle_one()

    do_POST = do_DELETE = do_GET

    def route(self):
        body = self.body()
        path = self.path.partition("?")[0].strip("/")
        parts = [urllib.parse.unquote(part) for part in path.split("/")]
        match self.command, parts:
            case "GET", ["health"]:
                return 200, {"status": "ok"}
            case "GET", ["carts", user]:
                items = self.change(user, lambda items: None)
            case "POST", ["carts", user]:
                sku, quantity = self.item(body)
                items = self.change(user, lambda items: self.put(items, sku, quantity))
            case "DELETE", ["carts", user]:
                items = self.change(user, lambda items: items.clear())
            case _:
                raise Problem(404, "there is nothing here")
        return 200, {"service": NAME, "user": user, "items": items, "visited": [NAME]}

    def change(self, user, change):
        """Changes a user's cart and returns a copy of what is in it then."""
        with LOCK:
            items = CARTS.pop(user, {})
            try:
                change(items)
            finally:
                if items:
                    CARTS[user] = items
            if len(CARTS) > CARTS_MAX:
                CARTS.popitem(last=False)
            return dict(items)

    def put(self, items, sku, quantity):
        if sku not in items and len(items) >= ITEMS_MAX:
            raise Problem(409, f"a cart may hold {ITEMS_MAX} products")
        items[sku] = min(items.get(sku, 0) + quantity, QUANTITY_MAX)

    def item(self, body):
        try:
            item = json.loads(body)
            sku, quantity = item["sku"], item.get("quantity", 1)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Problem(400, 'write {"sku": "tea", "quantity": 2}') from None
        if not isinstance(sku, str) or not isinstance(quantity, int) or not 0 < quantity <= QUANTITY_MAX:
            raise Problem(400, f"a quantity is a number from 1 to {QUANTITY_MAX}")
        return sku, quantity

    def handle_one(self):
        """Answers one request, whatever happens to it."""
        with self.server.in_flight():
            began = time.monotonic()
            try:
                status, body = self.route()
            except Problem as problem:
                status, body = problem.status, {"service": NAME, "error": problem.text, "visited": [NAME]}
            except Exception as error:  # a bug: say so, and go on with the next request
                traceback.print_exc()
                status, body = 500, {"service": NAME, "error": repr(error), "visited": [NAME]}
            self.answer(status, body)
            took = (time.monotonic() - began) * 1000
            if self.path != "/health":  # asked every few seconds, and nothing to tell
                print(f"{self.command} {self.path} {status} {took:.1f}ms", flush=True)

    def answer(self, status, body):
        kind = "application/json"
        if isinstance(body, str):
            kind = "text/html; charset=utf-8"
        else:
            body = json.dumps(body)
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        if self.server.stopping or not self.body_taken:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def parse_request(self):
        self.body_taken = False
        return super().parse_request()

    def body(self):
        """The body of the request, of at most BODY_MAX bytes."""
        length = self.headers.get("Content-Length", "0")
        if self.headers.get("Transfer-Encoding") or not length.isdigit():
            raise Problem(411, "send a Content-Length")
        if int(length) > BODY_MAX:
            raise Problem(413, f"a body may have {BODY_MAX} bytes")
        self.body_taken = True
        return self.rfile.read(int(length))

    def log_message(self, *_):
        pass  # one line per request is enough


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True
    stopping = False

    def __init__(self, port):
        self.working, self.changed = 0, threading.Condition()
        super().__init__(("127.0.0.1", port), Handler)  # with SO_REUSEADDR

    @contextlib.contextmanager
    def in_flight(self):
        with self.changed:
            self.working += 1
        try:
            yield
        finally:
            with self.changed:
                self.working -= 1
                self.changed.notify_all()

    def stop(self, *_):
        """SIGTERM: accept nothing more; `serve` goes on below when that is so."""
        self.stopping = True
        threading.Thread(target=self.shutdown).start()

    def serve(self):
        signal.signal(signal.SIGTERM, self.stop)
        signal.signal(signal.SIGINT, self.stop)
        print(f"{NAME} listens on {self.server_port}", flush=True)
        self.serve_forever(poll_interval=0.05)
        self.server_close()
        with self.changed:  # finish what was begun
            self.changed.wait_for(lambda: self.working == 0, timeout=5)


if __name__ == "__main__":
    Server(int(os.environ["PORT"])).serve()
