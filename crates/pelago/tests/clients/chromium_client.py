"""Chromium without a window: a page that fetches twenty answers at once, a stream, an upload and an event."""

import html
import re
import shutil
import subprocess
import sys
import tempfile

from asked import arguments, check

asked = arguments()
program = shutil.which("chromium") or shutil.which("chromium-browser")
if not program:
    sys.exit("chromium is not there; install it with scripts/setup chromium")
port = asked.address.rpartition(":")[2]
host = asked.host.rpartition(":")[0] or asked.host
scheme, protocol = ("https", "h2") if asked.authority else ("http", "http/1.1")
with tempfile.TemporaryDirectory() as profile:
    # Its sandbox wants rights that containers do not give, and it trusts no authority of a file: curl's
    # test is about that.
    done = subprocess.run(
        [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
         "--no-first-run", "--disable-background-networking", f"--user-data-dir={profile}",
         "--ignore-certificate-errors", f"--host-resolver-rules=MAP {host} 127.0.0.1",
         "--virtual-time-budget=20000", "--dump-dom", f"{scheme}://{host}:{port}/page"],
        capture_output=True, timeout=35, check=False)
page = done.stdout.decode()
title = re.search("<title>(.*)</title>", page)
check(f"title ({done.stderr.decode()[-2000:]})", html.unescape(title.group(1)) if title else page,
      f"{protocol}: 20 answers, 10240 and 100000 bytes, news")
