"""Very many sends in a row.

Arguments: `sink PORT` reads and throws away what one connection brings; `send PORT COUNT EVERY [FILE]` sends COUNT
messages of 100 bytes and says of every EVERYth that it was sent. With FILE it sends a twelfth, waits until that
file is there, and then sends the rest.
"""

import os
import socket
import sys
import time


def sink(port):
    listener = socket.create_server(("127.0.0.1", port))
    print("listening", flush=True)
    connection, _ = listener.accept()
    while connection.recv(1 << 20):
        pass


def send(port, count, every, gate):
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print("connected", flush=True)
    time.sleep(0.3)
    payload = b"x" * 100
    out = sys.stdout
    for number in range(count):
        if gate and number == count // 12:
            print("waiting", flush=True)
            while not os.path.exists(gate):
                time.sleep(0.01)
        begun = time.monotonic_ns()
        connection.sendall(payload)
        if number % every == 0:
            elapsed = (time.monotonic_ns() - begun) / 1e6
            out.write(f'{{"id": "m{number}", "status": "sent", "elapsed_ms": {elapsed:.6f}, "bytes": 100}}\n')
            out.flush()
    time.sleep(0.3)
    connection.close()


if sys.argv[1] == "sink":
    sink(int(sys.argv[2]))
else:
    send(int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5] if len(sys.argv) > 5 else None)
