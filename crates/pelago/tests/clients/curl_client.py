"""curl: HTTP/1.1 and HTTP/2, `Expect: 100-continue`, a failing status, uploads; with TLS, the authority's
certificate for the host is checked, and HTTP/2 is agreed on by ALPN."""

import json
import subprocess

from asked import arguments, check

asked = arguments()
address, _, port = asked.address.rpartition(":")
if asked.authority:
    base, where = f"https://{asked.host}:{port}", ["--cacert", asked.authority,
                                                   "--resolve", f"{asked.host}:{port}:{address}"]
    # Without an option, ALPN decides.
    versions = [("--http1.1", "1.1"), ("--tcp-nodelay", "2")]
else:
    base, where = f"http://{asked.address}", ["--header", f"host: {asked.host}"]
    versions = [("--http1.1", "1.1"), ("--http2-prior-knowledge", "2")]


def curl(path, *options, body=None):
    command = ["curl", "--silent", "--show-error", "--max-time", "20", *where,
               "--write-out", "\n%{http_version} %{http_code}", *options, f"{base}{path}"]
    done = subprocess.run(command, input=body, capture_output=True, check=False)
    check(f"curl {path} {options}", (done.returncode, done.stderr), (0, b""))
    answer, _, facts = done.stdout.decode().rpartition("\n")
    return answer, facts


for option, version in versions:
    answer, facts = curl("/echo?q=1", option)
    check(f"{version} facts", facts, f"{version} 200")
    seen = json.loads(answer)
    check(f"{version} target", seen["target"], "/echo?q=1")
    # Over HTTP/2 curl would wait for its second, and then send: the gateway has no 100 there.
    expect = "expect: 100-continue" if version == "1.1" else "expect:"
    answer, facts = curl("/count", option, "--header", expect, "--data-binary", "@-", body=b"x" * 200_000)
    check(f"{version} upload", (json.loads(answer)["bytes"], facts), (200_000, f"{version} 200"))
    check(f"{version} status", curl("/status/503", option)[1], f"{version} 503")
answer, _ = curl("/count", "--http1.1", "--header", "transfer-encoding: chunked", "--data-binary", "@-",
                 body=b"x" * 50_000)
check("chunks", json.loads(answer)["bytes"], 50_000)
