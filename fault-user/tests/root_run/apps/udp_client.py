"""UDP sockets that send and wait for an echo, in turns, until their rounds are over.

Arguments: MODE ROUNDS HOST:PORT [HOST:PORT]. With `connected` two sockets are connected to the
first address; with `sendto` one socket sends to both addresses; with `in-turn` one connected
socket follows another, each for five rounds. The sends are called lit-N and dark-N in this order.
"""

import json
import socket
import sys
import time

TIMEOUT = 0.08
INTERVAL = 0.1


def address(text):
    host, port = text.rsplit(":", 1)
    return host.strip("[]"), int(port)


def udp(host):
    udp = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    udp.settimeout(TIMEOUT)
    return udp


def connected(to):
    connected = udp(to[0])
    connected.connect(to)
    return connected, None


def exchange(socket, to, name):
    payload = f"{name} {'x' * 100}".encode()
    begun = time.monotonic()
    try:
        socket.sendto(payload, to) if to else socket.send(payload)
        # An echo of an earlier round does not count.
        while socket.recv(4096) != payload:
            pass
        status = "ok"
    except TimeoutError:
        status = "timeout"
    elapsed = round((time.monotonic() - begun) * 1000, 3)
    line = {"id": name, "status": status, "elapsed_ms": elapsed}
    print(json.dumps(line), flush=True)
    time.sleep(0.01)  # so that flowfault can tell which datagram is whose


def main():
    mode, rounds, *remotes = sys.argv[1], int(sys.argv[2]), *map(address, sys.argv[3:])
    # As getaddrinfo(3) does: it sends nothing and is no flow.
    connected(remotes[0])[0].close()
    if mode == "sendto":
        one = udp(remotes[0][0])
        ways = {"lit": (one, remotes[0]), "dark": (one, remotes[1])}
    elif mode == "connected":
        # Connected in the other order: what counts is who sends first.
        dark = connected(remotes[0])
        ways = {"lit": connected(remotes[0]), "dark": dark}
    else:
        ways = {"dark": connected(remotes[0])}
    print("connected", file=sys.stderr, flush=True)
    for number in range(1, rounds + 1):
        next_at = time.monotonic() + INTERVAL
        if mode == "in-turn" and number % 5 == 1 and number > 1:
            ways["dark"][0].close()
            ways["dark"] = connected(remotes[0])
        for name, (way, to) in ways.items():
            exchange(way, to, f"{name}-{number}")
        time.sleep(max(0, next_at - time.monotonic()))
    for way, _ in ways.values():
        way.close()


main()
