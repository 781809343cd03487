"""Holds sockets of each kind, and says what they are: one JSON line every 50 ms.

Arguments: HOST PORT GO; once a file GO exists, it sends over the connection `first` again.
"""

import json
import os
import socket
import struct
import sys
import time

SO_COOKIE = 57
WORDS = {"unacked": 24, "rtt": 68, "retransmits": 100}  # offsets in struct tcp_info (linux/tcp.h)
LONGS = {"bytes_acked": 120, "bytes_received": 128, "bytes_sent": 200}


def tcp_info(connection):
    raw = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    info = {name: struct.unpack_from("=I", raw, at)[0] for name, at in WORDS.items()}
    return info | {name: struct.unpack_from("=Q", raw, at)[0] for name, at in LONGS.items()}


def known(held):
    told = {
        "fd": held.fileno(),
        "inode": os.fstat(held.fileno()).st_ino,
        "cookie": struct.unpack("=Q", held.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8))[0],
        "local": held.getsockname()[:2],
    }
    return told | (tcp_info(held) if held.type == socket.SOCK_STREAM else {})


def main():
    host, port, go = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    held = {name: socket.create_connection((host, port)) for name in ("first", "second")}
    mapped = socket.socket(socket.AF_INET6)
    mapped.connect((f"::ffff:{host}", port))
    mapped.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 7)
    held["mapped"] = mapped
    held["udp"] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    held["udp"].connect((host, 9))
    held["listener"] = socket.create_server(("127.0.0.1", 0))
    held["out"] = socket.create_connection(held["listener"].getsockname())
    held["in"] = held["listener"].accept()[0]
    # One of ours that is over: it stays in TIME_WAIT, without a file.
    with socket.create_connection(held["listener"].getsockname()) as over:
        other = held["listener"].accept()[0]
        over.shutdown(socket.SHUT_WR)
        other.recv(1)
        other.close()
        over.recv(1)
    for name, size in (("first", 3000), ("mapped", 200)):
        held[name].sendall(b"x" * size)
        held[name].recv(size, socket.MSG_WAITALL)
    child = os.fork()
    if child == 0:
        # Shares them all but the first.
        held["first"].close()
        time.sleep(60)
        os._exit(0)
    sent = False
    while True:
        print(json.dumps({"child": child} | {name: known(s) for name, s in held.items()}), flush=True)
        time.sleep(0.05)
        if not sent and os.path.exists(go):
            held["first"].sendall(b"y" * 500)
            sent = True


main()
