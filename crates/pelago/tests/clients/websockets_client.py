"""Python `websockets`: texts, bytes, a message of a megabyte, an orderly end."""

import socket

from websockets.sync.client import connect

from asked import arguments, check

asked = arguments()
address, _, port = asked.address.rpartition(":")
with socket.create_connection((address, int(port)), 10) as stream, \
        connect(f"ws://{asked.host}/", sock=stream, max_size=None) as connection:
    large = bytes(range(256)) * 4096
    for message in ["tea", b"\x00\x01", "é" * 1000, large]:
        connection.send(message)
        check("echo", connection.recv(10), message)
    connection.close()
    check("close code", connection.close_code, 1000)
