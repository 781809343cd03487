"""Numbered datagrams both ways over some sockets at a time, and what came of them at each end.

A datagram has its number and the time (ns since 1970), 8 bytes each, big endian, and dots.
"""

import os
import select
import struct

from wire import *

COUNT, SIZE, PACE = 400, 100, 0.002 * SLOW
HEAD = struct.Struct(">QQ")
# After so long nothing more comes: longer than any fault of these tests holds a datagram.
QUIET = 1.3 * SLOW


def endpoints(names, attach):
    """A socket for each name, which `attach` binds or connects to (HOST, port)."""
    sockets = {}
    for port, name in enumerate(names, PORT + 1):
        udp = sockets[name] = socket.socket(FAMILY, socket.SOCK_DGRAM)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        udp.setblocking(False)
        attach(udp, (HOST, port))
    return sockets


def pour(sends):
    """COUNT datagrams over each of these, in turn. From one CPU: a veth reorders the packets of a
    thread that moves to another, because each has a backlog."""
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpus[os.getpid() % len(cpus)]})
    begun = time.monotonic()
    for number in range(COUNT):
        if (left := begun + number * PACE - time.monotonic()) > 0:
            time.sleep(left)
        for send in sends:
            send(HEAD.pack(number, time.time_ns()).ljust(SIZE, b"."))


def taken(data):
    """Its number, how long it took (ns), and position and flipped bits of its wrong bytes."""
    number, at = HEAD.unpack_from(data)
    flips = [[at, byte ^ ord(".")] for at, byte in enumerate(data) if at >= HEAD.size and byte != ord(".")]
    return {"number": number, "took": time.time_ns() - at, "size": len(data), "flips": flips}


def collect(sockets, first=lambda udp, peer: None):
    """Notes what comes until nothing more does; tells `first` who sent a socket its first one."""
    got = {name: [] for name in sockets}
    names = {udp: name for name, udp in sockets.items()}
    while ready := select.select(list(names), [], [], QUIET if any(got.values()) else None)[0]:
        for udp in ready:
            try:
                data, peer = udp.recvfrom(2048)
            except BlockingIOError:
                # What waited had a wrong checksum (udp_recvmsg).
                continue
            if not got[names[udp]]:
                first(udp, peer)
            got[names[udp]].append(taken(data))
    for name, datagrams in got.items():
        note("got", flow=name, datagrams=datagrams)
