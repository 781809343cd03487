"""Measures what a delay does: round trips, one-way times, order, bulk both ways.

    waits.py serve HOST PORT NOTES
    waits.py client HOST PORT NOTES GO COUNT BYTES

Both sides have one clock (CLOCK_MONOTONIC of one machine), so one-way times are exact. A datagram
and a ping carry their number and the time at which they were sent. NOTES gets lines of JSON.
"""

import json
import os
import socket
import struct
import sys
import threading
import time

RECORD = struct.Struct("!Id")
CHUNK = bytes(1 << 16)


def one_cpu(which):
    """A veth reorders the packets of a process that moves to another CPU: each has a backlog."""
    os.sched_setaffinity(0, {which(os.sched_getaffinity(0))})


def family(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def note(path, **what):
    with open(path, "a") as notes:
        notes.write(json.dumps(what) + "\n")


def exactly(connection, n):
    data = b""
    while len(data) < n:
        more = connection.recv(n - len(data))
        if not more:
            return None
        data += more
    return data


def drain(connection, n):
    while n > 0:
        got = connection.recv(min(n, 1 << 20))
        if not got:
            raise SystemExit("the connection ended early")
        n -= len(got)


def fill(connection, n):
    while n > 0:
        n -= connection.send(CHUNK[: min(n, len(CHUNK))])


def serve_datagrams(udp, path):
    arrivals = []
    while True:
        data, peer = udp.recvfrom(2048)
        number, sent = RECORD.unpack(data)
        if number == 0xFFFFFFFF:
            note(path, what="datagrams", arrivals=arrivals)
            arrivals = []
        else:
            arrivals.append([number, (time.monotonic() - sent) * 1e3])
        udp.sendto(data, peer)


def serve(host, port, path):
    tcp = socket.socket(family(host), socket.SOCK_STREAM)
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    tcp.bind((host, port))
    tcp.listen()
    udp = socket.socket(family(host), socket.SOCK_DGRAM)
    udp.bind((host, port))
    threading.Thread(target=serve_datagrams, args=(udp, path), daemon=True).start()
    print("listening", flush=True)
    while True:
        connection, _ = tcp.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve_stream, args=(connection,), daemon=True).start()


def serve_stream(connection):
    while True:
        data = exactly(connection, RECORD.size)
        if data is None:
            return
        number, size = RECORD.unpack(data)
        if number == 0xFFFFFFFE:
            drain(connection, int(size))
            connection.sendall(data)
        elif number == 0xFFFFFFFD:
            fill(connection, int(size))
        else:
            connection.sendall(data)


def client(host, port, path, go, count, size):
    tcp = socket.create_connection((host, port))
    tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    udp = socket.socket(family(host), socket.SOCK_DGRAM)
    udp.connect((host, port))
    udp.settimeout(20)
    print("ready", flush=True)
    while not os.path.exists(go):
        time.sleep(0.01)
    trips = []
    for number in range(count):
        begin = time.monotonic()
        tcp.sendall(RECORD.pack(number, begin))
        exactly(tcp, RECORD.size)
        trips.append((time.monotonic() - begin) * 1e3)
    note(path, what="trips", trips=trips)
    answers = []
    reader = threading.Thread(target=read_answers, args=(udp, answers))
    reader.start()
    for number in range(count * 10):
        udp.send(RECORD.pack(number, time.monotonic()))
        time.sleep(0.0005)
    udp.send(RECORD.pack(0xFFFFFFFF, time.monotonic()))
    reader.join()
    note(path, what="answers", numbers=answers)
    for what, number in [("out", 0xFFFFFFFE), ("in", 0xFFFFFFFD)]:
        if size == 0:
            break
        begin = time.monotonic()
        tcp.sendall(RECORD.pack(number, float(size)))
        if what == "out":
            fill(tcp, size)
            exactly(tcp, RECORD.size)
        else:
            drain(tcp, size)
        took = time.monotonic() - begin
        note(path, what=what, bytes=size, seconds=took)
    print("done", flush=True)
    # What flowfault's end does to connections is no part of this.
    time.sleep(0.3)


def read_answers(udp, answers):
    while True:
        number, _ = RECORD.unpack(udp.recv(2048))
        if number == 0xFFFFFFFF:
            return
        answers.append(number)


if __name__ == "__main__":
    kind, host, port, path, *rest = sys.argv[1:]
    one_cpu(max if kind == "serve" else min)
    if kind == "serve":
        serve(host, int(port), path)
    else:
        go, count, size = rest
        client(host, int(port), path, go, int(count), int(size))
