"""Python `requests`: methods, connections that are kept, bodies in one piece and in chunks, streams."""

import requests

from asked import arguments, check

asked = arguments()
base = f"http://{asked.address}"
with requests.Session() as session:
    session.headers["host"] = asked.host
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]:
        body = "" if method == "GET" else "tea"
        answer = session.request(method, f"{base}/echo?x=%20y&z", data=body, timeout=10)
        check(f"{method} status", answer.status_code, 200)
        seen = answer.json()
        check(f"{method} target", (seen["method"], seen["target"]), (method, "/echo?x=%20y&z"))
        check(f"{method} body", seen["body"], body)
        check(f"{method} traceparent", len(seen["headers"]["traceparent"]), 55)
    check("HEAD", session.head(f"{base}/echo", timeout=10).content, b"")
    for code in [204, 304, 404, 418]:
        check("status", session.get(f"{base}/status/{code}", timeout=10).status_code, code)
    large = b"x" * (4 << 20)
    check("length", session.post(f"{base}/count", data=large, timeout=30).json(),
          {"bytes": len(large), "chunked": False})
    parts = (b"x" * 1000 for _ in range(1000))
    check("chunks", session.post(f"{base}/count", data=parts, timeout=30).json()["bytes"], 1_000_000)
    check("stream", len(session.get(f"{base}/chunks", timeout=10).content), 10 * 1024)
    with session.get(f"{base}/events", stream=True, timeout=10) as events:
        lines = events.iter_lines()
        check("events", [next(lines) for _ in range(3)], [b"id: 0", b"data: news", b""])
