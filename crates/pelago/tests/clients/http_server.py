"""A service in HTTP/1.1, from Python's standard library.

    GET  /echo    method, target, headers and body, as JSON (any method)
    GET  /chunks  ten chunks of a kilobyte
    GET  /events  three server-sent events, the connection kept open until the client goes
    GET  /status/CODE
    GET  /page    a page that fetches more, and says in its title what came of it
    POST /count   the number of bytes of the body and whether they came in chunks
"""

import http.server
import json
import os
import socketserver


# A module's script runs before the page counts as loaded.
PAGE = b"""<!doctype html><title>not loaded</title>
<script type=module>
const numbers = [...Array(20).keys()];
const answers = await Promise.all(numbers.map(async (it) => (await fetch(`/echo?n=${it}`)).json()));
const right = answers.filter((it, n) => it.target === `/echo?n=${n}`).length;
const length = (await (await fetch("/chunks")).text()).length;
const posted = await (await fetch("/count", {method: "POST", body: "x".repeat(100000)})).json();
const event = await new Promise((done) => {
  const events = new EventSource("/events");
  events.onmessage = (it) => { events.close(); done(it.data); };
});
const [page] = performance.getEntriesByType("navigation");
document.title = `${page.nextHopProtocol}: ${right} answers, ${length} and ${posted.bytes} bytes, ${event}`;
</script>
"""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def body(self):
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def answer(self, status, body, kind="application/json"):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def stream(self, kind, parts):
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for part in parts:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.flush()

    def handle_any(self):
        body = self.body()
        if self.path.startswith("/status/"):
            self.answer(int(self.path.rpartition("/")[2]), b"{}")
        elif self.path == "/chunks":
            self.stream("text/plain", [bytes([65 + it]) * 1024 for it in range(10)])
            self.wfile.write(b"0\r\n\r\n")
        elif self.path == "/events":
            self.stream("text/event-stream", [b"id: %d\ndata: news\n\n" % it for it in range(3)])
            # Nothing more is said: the client has to see what came before the end.
            self.rfile.read(1)
            self.close_connection = True
        elif self.path == "/page":
            self.answer(200, PAGE, "text/html")
        elif self.path == "/count":
            chunked = self.headers.get("transfer-encoding") == "chunked"
            self.answer(200, json.dumps({"bytes": len(body), "chunked": chunked}).encode())
        else:
            seen = {"method": self.command, "target": self.path,
                    "headers": {key.lower(): value for key, value in self.headers.items()},
                    "body": body.decode()}
            self.answer(200, json.dumps(seen).encode())

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = handle_any

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128


Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
