"""Both ends of a connection over lo, with ports that are given: the same addresses in any namespace.

Arguments: PORT of the server, PORT of the client. Says after each message that has come back how many have, and what
has become of the connection.
"""

import errno
import json
import socket
import struct
import sys
import threading
import time

TOTAL_RETRANS = 100  # offset in struct tcp_info (linux/tcp.h)

server = socket.create_server(("127.0.0.1", int(sys.argv[1])))


def echo():
    accepted = server.accept()[0]
    try:
        while data := accepted.recv(100):
            accepted.sendall(data)
    except OSError:
        pass


threading.Thread(target=echo, daemon=True).start()
client = socket.create_connection(
    ("127.0.0.1", int(sys.argv[1])), source_address=("127.0.0.1", int(sys.argv[2]))
)
client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
count = 0
try:
    while True:
        client.sendall(b"ping")
        if not client.recv(100):
            raise ConnectionError(errno.EPIPE, "closed")
        count += 1
        raw = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        again = struct.unpack_from("=I", raw, TOTAL_RETRANS)[0]
        print(json.dumps({"count": count, "time": time.time(), "again": again}), flush=True)
        time.sleep(0.01)
except OSError as e:
    print(json.dumps({"error": errno.errorcode[e.errno]}), flush=True)
    while True:
        time.sleep(1)
