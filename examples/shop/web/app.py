"""The front of the shop: a page for people, and an API for everyone else.

GET  /                            the page
POST /buy                         sku=tea&quantity=2, as the page's form sends it; answers with a page
POST /api/order?sku=tea&user=ann  the same; answers with JSON that names every service it went through
                                  (GET does too, for the address bar of a browser)
"""

import contextlib
import html
import json
import os
import signal
import threading
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME = "web"
BODY_MAX = 64 << 10
CALL_TIMEOUT_S = 6      # above what the mesh allows a call, which answers first and says why
TITLE = os.environ.get("SHOP_TITLE", "Shop")
CALLEES = {name: os.environ[f"{name.upper()}_URL"] for name in ("catalog", "cart", "orders")}
# What makes one trace of a request and the calls made for it.
PASSED_ON = ("traceparent", "tracestate", "baggage", "b3", "x-request-id")
# Callees are called directly, whatever proxy the environment names for the rest of the world.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


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
        url = urllib.parse.urlsplit(self.path)
        match self.command, url.path:
            case "GET", "/health":
                return 200, {"status": "ok"}
            case "GET", "/":
                return 200, self.page()
            case "POST", "/buy":
                return 200, self.receipt(self.order(body.decode(errors="replace")))
            case ("GET" | "POST"), "/api/order":
                return 200, self.order(url.query)
        raise Problem(404, "there is nothing here")

    def order(self, query):
        """Buys something: looks it up, puts it into the cart, orders the cart, empties it."""
        fields = dict(urllib.parse.parse_qsl(query))
        user, sku = fields.get("user", "guest"), fields.get("sku", "tea")
        quantity = fields.get("quantity", "1")
        if not quantity.isdecimal():
            raise Problem(400, "a quantity is a number")
        user_path = "/carts/" + urllib.parse.quote(user, safe="")

        catalog = self.call("catalog", "GET", "/products")
        prices = {it["sku"]: it["price_cents"] for it in catalog["products"]}
        if sku not in prices:
            raise Problem(404, f"there is no product {sku!r}")
        cart = self.call("cart", "POST", user_path, {"sku": sku, "quantity": int(quantity)})
        total = sum(prices.get(sku, 0) * quantity for sku, quantity in cart["items"].items())
        order = {"user": user, "items": cart["items"], "total_cents": total}
        order = self.call("orders", "POST", "/orders", order)
        emptied = self.call("cart", "DELETE", user_path)
        visited = [NAME]
        for answer in (catalog, cart, order, emptied):
            visited += [name for name in answer.get("visited", []) if name not in visited]
        return {
            "service": NAME,
            "order": order["order"],
            "total_cents": total,
            "visited": visited,
        }

    def call(self, callee, method, path, body=None):
        """Calls a service and returns its JSON. A failure is a 502 that names it."""
        headers = {name: self.headers[name] for name in PASSED_ON if name in self.headers}
        data = None
        if body is not None:
            headers["Content-Type"], data = "application/json", json.dumps(body).encode()
        url = CALLEES[callee].rstrip("/") + path
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with OPENER.open(request, timeout=CALL_TIMEOUT_S) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            text = error.read(1000).decode(errors="replace")
            if error.code in (400, 404, 409):  # what was asked for is wrong, not the callee
                raise Problem(error.code, f"{callee}: {text}") from None
            raise Problem(502, f"{callee} answered {error.code}: {text}") from None
        except (OSError, ValueError) as error:
            raise Problem(502, f"{callee} did not answer: {error}") from None

    def page(self):
        products = self.call("catalog", "GET", "/products")["products"]
        rows = "".join(
            f"<tr><td>{html.escape(it['name'])}<td>{it['price_cents'] / 100:.2f}"
            f"<td><form method=post action=/buy>"
            f"<button name=sku value='{html.escape(it['sku'], quote=True)}'>buy</button></form>"
            for it in products
        )
        return document(f"<table>{rows}</table>")

    def receipt(self, order):
        trail = " &rarr; ".join(html.escape(it) for it in order["visited"])
        return document(
            f"<p>Thank you. Order {html.escape(order['order'])} "
            f"over {order['total_cents'] / 100:.2f} went through</p><p>{trail}</p><a href=/>back</a>"
        )

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


def document(body):
    title = html.escape(TITLE)
    return (
        f"<!doctype html><meta charset=utf-8><title>{title}</title>"
        "<style>body{font:1.1rem system-ui;margin:3rem auto;max-width:32rem}td{padding:.4rem 1rem}</style>"
        f"<h1>{title}</h1>{body}"
    )


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
