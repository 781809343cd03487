"""Both ends of one connection whose traffic a test knows to the byte.

    server PORT
    client HOST PORT early|late GO WORK...

The client prints `ready`, waits for the file GO, works, and prints one JSON line. With `early` it
has connected before `ready`, with `late` it connects after GO. WORK is one of
    bulk N              sends N bytes
    turns COUNT         messages of 64 bytes, each after the answer to the one before it
    flood MS            sends for so long
    fetch N             receives N bytes
    ping COUNT US       messages of 64 bytes, one every US microseconds, each answered at once
    idle MS             keeps the connection open
    pour COUNT SIZE US [MS]  (UDP) sends numbered datagrams, and waits for so long (default 400)
    draw COUNT SIZE US  (UDP) receives numbered datagrams
Messages and datagrams begin with their number and the time, 8 bytes each, big endian, ns since 1970.
"""

import errno
import json
import os
import random
import select
import socket
import struct
import sys
import threading
import time
import zlib

FIRST = 16  # bytes in which the client says what it wants
MESSAGE = 64
# No power of two of bytes repeats it, so bytes that went astray are seen.
CHUNK = random.Random(1).randbytes(65521)
HEAD = struct.Struct(">QQ")
# Offsets in struct tcp_info (linux/tcp.h).
WORDS = {"rtt_us": 68, "total_retrans": 100, "dsack_dups": 216, "reord_seen": 220}
LONGS = {"bytes_retrans": 208}


def family(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def stamped(number, size):
    return HEAD.pack(number, time.time_ns()).ljust(size, b".")


def exactly(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            return None
        data += more
    return data


def sink(connection):
    """Receives until the end: how many bytes, and their checksum."""
    count, crc = 0, 0
    while data := connection.recv(1 << 18):
        count, crc = count + len(data), zlib.crc32(data, crc)
    return {"bytes": count, "crc": crc}


def source(connection, count):
    crc, left = 0, count
    while left > 0:
        chunk = CHUNK[:left]
        connection.sendall(chunk)
        crc, left = zlib.crc32(chunk, crc), left - len(chunk)
    return {"bytes": count, "crc": crc}


def paced(count, us):
    """Numbers, each at its time."""
    begun = time.monotonic()
    for number in range(count):
        if (left := begun + number * us / 1e6 - time.monotonic()) > 0:
            time.sleep(left)
        yield number


def serve(connection, port):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        first = exactly(connection, FIRST)
        if first is None:
            return
        work, *count = first.decode().split()
        if work == "source":
            source(connection, int(count[0]))
        elif work == "echo":
            while message := exactly(connection, MESSAGE):
                number, _ = HEAD.unpack_from(message)
                connection.sendall(stamped(number, MESSAGE))
        else:
            print(json.dumps({"port": port} | sink(connection)), flush=True)
            connection.sendall(b"!")
    except OSError as error:
        print(json.dumps({"port": port, "error": errno.errorcode[error.errno]}), flush=True)
    finally:
        connection.close()


def one_cpu():
    """For this thread, and another for another: a veth reorders the packets of one that moves to
    another CPU, because each has a backlog."""
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpus[threading.get_native_id() % len(cpus)]})


def drawn(udp, peer, count, size, us):
    one_cpu()
    for number in paced(count, us):
        udp.sendto(stamped(number, size), peer)


def serve_datagrams(udp):
    while True:
        request, peer = udp.recvfrom(2048)
        if request.startswith(b"draw"):
            arguments = (udp, peer, *map(int, request.split()[1:]))
            threading.Thread(target=drawn, args=arguments, daemon=True).start()


def server(port):
    """On all addresses, of IPv4 too."""
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    udp.bind(("::", port))
    threading.Thread(target=serve_datagrams, args=(udp,), daemon=True).start()
    print("listening", flush=True)
    while True:
        connection, peer = listener.accept()
        threading.Thread(target=serve, args=(connection, peer[1]), daemon=True).start()


def tcp_info(connection):
    raw = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    info = {name: struct.unpack_from("=I", raw, at)[0] for name, at in WORDS.items()}
    return info | {name: struct.unpack_from("=Q", raw, at)[0] for name, at in LONGS.items()}


def sent(connection, told):
    """Ends what it sends; the server has all of it when it answers."""
    connection.shutdown(socket.SHUT_WR)
    told["confirmed"] = exactly(connection, 1) == b"!"
    return told


def flood(connection, ms):
    count, crc, rtts = 0, 0, []
    end = time.monotonic() + ms / 1e3
    while time.monotonic() < end:
        # A short wait, so that it ends in time however full the buffer is.
        if select.select([], [connection], [], 0.05)[1]:
            done = connection.send(CHUNK)
            count, crc = count + done, zlib.crc32(CHUNK[:done], crc)
        rtts.append(tcp_info(connection)["rtt_us"])
    return {"bytes": count, "crc": crc, "rtts_us": rtts}


def ping(connection, count, us):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    rtts = {}

    def receive():
        while len(rtts) < count and (message := exactly(connection, MESSAGE)):
            number, _ = HEAD.unpack_from(message)
            rtts[number] = time.time_ns() - begun[number]

    begun = {}
    receiver = threading.Thread(target=receive)
    receiver.start()
    for number in paced(count, us):
        begun[number] = time.time_ns()
        connection.sendall(stamped(number, MESSAGE))
    receiver.join()
    return {"rtt_ns": [rtts[number] for number in sorted(rtts)]}


def turns(connection, count):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for number in range(count):
        connection.sendall(stamped(number, MESSAGE))
        exactly(connection, MESSAGE)
    return {}


def draw(udp, count, size, us):
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 26)
    udp.send(f"draw {count} {size} {us}".encode())
    got = []
    udp.settimeout(1)
    try:
        while True:
            got.append(HEAD.unpack_from(udp.recv(2048))[0])
    except TimeoutError:
        return {"numbers": got}


def on_datagrams(udp, work, numbers):
    if work == "draw":
        return draw(udp, *numbers)
    count, size, us, *wait = numbers
    one_cpu()
    for number in paced(count, us):
        udp.send(stamped(number, size))
    # What a fault holds goes on before the end of the run.
    time.sleep((wait[0] if wait else 400) / 1e3)
    return {"sent": count}


def on_stream(connection, work, numbers):
    if work == "bulk":
        told = sent(connection, source(connection, numbers[0]))
    elif work == "flood":
        told = sent(connection, flood(connection, numbers[0]))
    elif work == "fetch":
        told = sink(connection)
    elif work == "turns":
        told = turns(connection, *numbers)
    elif work == "ping":
        told = ping(connection, *numbers)
    else:
        time.sleep(numbers[0] / 1e3)
        told = {}
    return told | tcp_info(connection)


def client(host, port, when, go, work, *numbers):
    numbers = [int(number) for number in numbers]
    datagrams = work in ("pour", "draw")

    def connect():
        kind = socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM
        connection = socket.socket(family(host), kind)
        connection.connect((host, int(port)))
        if not datagrams:
            wants = {"ping": "echo", "turns": "echo", "fetch": f"source {numbers[0]}"}.get(work, "sink")
            # A fetch begins after GO.
            if work != "fetch":
                connection.sendall(wants.ljust(FIRST).encode())
        return connection

    connection = connect() if when == "early" else None
    print("ready", flush=True)
    while not os.path.exists(go):
        time.sleep(0.005)
    begun = time.monotonic()
    connection = connection or connect()
    connected = time.monotonic()
    if work == "fetch":
        connection.sendall(f"source {numbers[0]}".ljust(FIRST).encode())
    try:
        told = (on_datagrams if datagrams else on_stream)(connection, work, numbers)
    except OSError as error:
        told = {"error": errno.errorcode[error.errno]}
    told["port"] = connection.getsockname()[1]
    told["connect_ms"], told["work_ms"] = (connected - begun) * 1e3, (time.monotonic() - connected) * 1e3
    print(json.dumps(told), flush=True)
    connection.close()


def main():
    role, *rest = sys.argv[1:]
    if role == "server":
        server(int(rest[0]))
    else:
        client(*rest)


main()
