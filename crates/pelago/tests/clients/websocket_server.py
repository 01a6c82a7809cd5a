"""A service in WebSocket that says back what it hears, and answers other requests with 426."""

import os

from websockets.sync.server import serve


def echo(connection):
    for message in connection:
        connection.send(message)


with serve(echo, "127.0.0.1", int(os.environ["PORT"])) as server:
    server.serve_forever()
