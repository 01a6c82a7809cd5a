"""What every client is told on its command line: an address, and the host to ask for there."""

import argparse
import sys


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("address", help="HOST:PORT of the gateway, or of an edge of the mesh")
    parser.add_argument("--host", help="the route's host; the address itself if absent")
    parser.add_argument("--authority", help="file with the certificate to trust; TLS is spoken then")
    asked = parser.parse_args()
    asked.host = asked.host or asked.address
    return asked


def check(what, seen, meant):
    if seen != meant:
        sys.exit(f"{what}: {seen!r} in place of {meant!r}")
