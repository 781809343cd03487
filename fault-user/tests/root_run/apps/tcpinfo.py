"""Sends over two connections before and during an outage, and notes what TCP itself counts.

Arguments: HOST PORT SAMPLES GO; a file GO appears when the outage is on. One JSON line goes to
SAMPLES for each connection every 100 ms.
"""

import json
import os
import socket
import struct
import sys
import time

BYTES = {"backoff": 4}  # offsets in struct tcp_info (linux/tcp.h)
WORDS = {"rto": 8, "unacked": 24, "total_retrans": 100, "notsent": 144}
LONGS = {"bytes_acked": 120}


def tcp_info(connection):
    raw = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    info = {name: raw[at] for name, at in BYTES.items()}
    info |= {name: struct.unpack_from("=I", raw, at)[0] for name, at in WORDS.items()}
    return info | {name: struct.unpack_from("=Q", raw, at)[0] for name, at in LONGS.items()}


def send(connection, name, size=100):
    begun = time.monotonic()
    connection.sendall(f"{name} {'x' * size}\n".encode())
    elapsed = (time.monotonic() - begun) * 1000
    print(json.dumps({"id": name, "status": "ok", "elapsed_ms": round(elapsed, 3)}), flush=True)
    # Apart, so that flowfault can tell which bytes are whose.
    time.sleep(0.05)


def main():
    host, port, samples, go = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
    both = {name: socket.create_connection((host, port)) for name in ("lit", "dark")}
    # Closing resets: what is not acknowledged then, never will be.
    both["dark"].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    print("connected", file=sys.stderr, flush=True)
    for name, connection in both.items():
        send(connection, f"{name}-before")
    while not os.path.exists(go):
        time.sleep(0.01)
    for name, connection in both.items():
        # Longer, so that flowfault cannot take two sends of one size for keepalives.
        send(connection, f"{name}-during", 150)
    with open(samples, "w") as notes:
        for _ in range(32):
            for name, connection in both.items():
                notes.write(json.dumps({"connection": name} | tcp_info(connection)) + "\n")
            time.sleep(0.1)
    for connection in both.values():
        connection.close()


main()
