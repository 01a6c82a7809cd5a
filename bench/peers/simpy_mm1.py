#!/usr/bin/env python3
"""An M/M/1 queue at .8 in SimPy, as its own examples model one: a process for each request, a resource with one place.

    python3 bench/peers/simpy_mm1.py SECONDS

plays so many virtual seconds at 800 requests a second, and prints events per second and the mean time in the system, which is 5 ms.
"""

import json
import random
import sys
import time

import simpy

spent = [0.0, 0]


def request(environment, server, draw):
    arrived = environment.now
    with server.request() as turn:
        yield turn
        yield environment.timeout(draw.expovariate(1000.0))
    spent[0] += environment.now - arrived
    spent[1] += 1


def users(environment, server, draw):
    while True:
        yield environment.timeout(draw.expovariate(800.0))
        environment.process(request(environment, server, draw))


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 100.0
    environment, draw = simpy.Environment(), random.Random(1)
    server = simpy.Resource(environment, capacity=1)
    environment.process(users(environment, server, draw))
    began = time.perf_counter()
    environment.run(until=seconds)
    took = time.perf_counter() - began
    # What Pelago and nexosim count of a request: that it comes, and that it is done.
    events = 2 * spent[1]
    print(json.dumps({"events": events, "seconds": took, "events_per_s": events / took,
                      "mean_ms": 1000.0 * spent[0] / spent[1]}))


if __name__ == "__main__":
    main()
