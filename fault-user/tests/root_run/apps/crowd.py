"""How long a list of many sockets takes, beside ss(8): not a test, a measurement.

Arguments: FLOWFAULT PAIRS [ROUNDS]. Opens PAIRS connections on loopback, both ends in this process.
"""

import resource
import socket
import statistics
import subprocess
import sys
import time


def timed(command):
    begun = time.monotonic()
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    return time.monotonic() - begun, out.count(b"\n")


def main():
    flowfault, pairs = sys.argv[1], int(sys.argv[2])
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 7
    resource.setrlimit(resource.RLIMIT_NOFILE, (2 * pairs + 100, 2 * pairs + 100))
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)
    held = []
    for _ in range(pairs):
        held.append(socket.create_connection(listener.getsockname()))
        held.append(listener.accept()[0])
    commands = {
        "flowfault flows": [flowfault, "flows"],
        "flowfault flows --json": [flowfault, "flows", "--json"],
        "ss -tnp": ["ss", "-tnp"],
    }
    times = {name: [] for name in commands}
    lines = {}
    # In turns: what else this machine does meets all of them.
    for _ in range(rounds):
        for name, command in commands.items():
            took, lines[name] = timed(command)
            times[name].append(took)
    for name, seconds in times.items():
        low, middle = min(seconds) * 1e3, statistics.median(seconds) * 1e3
        print(f"{name:<24} {lines[name]:>8} lines  min {low:6.0f} ms  median {middle:6.0f} ms")


main()
