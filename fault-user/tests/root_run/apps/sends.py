"""Sends messages in as many ways as the kernel has, and tells each on stdout.

Arguments: HOST PORT WAY[,WAY...] [COUNT [SIZE]]; each WAY sends COUNT messages of about SIZE bytes over the same
connection. What else a mode does stands at its function.
"""

import ctypes
import errno
import json
import os
import socket
import sys
import tempfile
import threading
import time

SLOW = int(os.environ.get("FLOWFAULT_TEST_SLOW", "1"))
MSG_ZEROCOPY = 0x4000000
MSG_FASTOPEN = 0x20000000
SO_ZEROCOPY = 60
IPPROTO_MPTCP = 262
libc = ctypes.CDLL(None, use_errno=True)
say = threading.Lock()


def tell(name, status, size, begun):
    elapsed = (time.monotonic() - begun) * 1000
    line = {"id": name, "status": status, "bytes": size, "elapsed_ms": round(elapsed, 3)}
    with say:
        os.write(1, (json.dumps(line) + "\n").encode())


def body(name, size):
    return name.encode() + b" " + b"x" * max(0, size - len(name) - 2) + b"\n"


def whole(send, data):
    view = memoryview(data)
    while view:
        view = view[send(view) :]


class IoVec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


class MsgHdr(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint32),
        ("iov", ctypes.POINTER(IoVec)),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    ]


class MMsgHdr(ctypes.Structure):
    _fields_ = [("hdr", MsgHdr), ("len", ctypes.c_uint)]


def sendmmsg(connection, data):
    """Three parts in one call."""
    third = len(data) // 3
    parts = [data[:third], data[third : 2 * third], data[2 * third :]]
    keep = [ctypes.create_string_buffer(p, len(p)) for p in parts]
    vectors = [IoVec(ctypes.cast(k, ctypes.c_void_p), len(p)) for k, p in zip(keep, parts)]
    headers = (MMsgHdr * 3)()
    for header, vector in zip(headers, vectors):
        header.hdr.iov, header.hdr.iovlen = ctypes.pointer(vector), 1
    if libc.sendmmsg(connection.fileno(), headers, 3, 0) != 3:
        raise OSError(ctypes.get_errno(), "sendmmsg")


def writev(connection, data):
    half = len(data) // 2
    if os.writev(connection.fileno(), [data[:half], data[half:]]) != len(data):
        raise OSError(errno.EIO, "a short writev")


def sendfile(connection, data):
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        at = 0
        while at < len(data):
            at += os.sendfile(connection.fileno(), file.fileno(), at, len(data) - at)


def splice(connection, data):
    reader, writer = os.pipe()
    for at in range(0, len(data), 32768):
        part = os.write(writer, data[at : at + 32768])
        while part:
            part -= os.splice(reader, connection.fileno(), part)
    os.close(reader)
    os.close(writer)


def zerocopy(connection, data, kept=[]):
    # The kernel reads the pages when it sends, and sends again.
    kept.append(data)
    connection.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
    whole(lambda part: connection.send(part, MSG_ZEROCOPY), data)


WAYS = {
    "write": lambda c, d: whole(lambda part: os.write(c.fileno(), part), d),
    "send": lambda c, d: c.sendall(d),
    "sendmsg": lambda c, d: whole(lambda part: c.sendmsg([part[:1], part[1:]]), d),
    "sendmmsg": sendmmsg,
    "writev": writev,
    "sendfile": sendfile,
    "splice": splice,
    "zerocopy": zerocopy,
}


def message(connection, name, size, way="send"):
    data = body(name, size)
    begun = time.monotonic()
    try:
        WAYS[way](connection, data)
        status = "ok"
    except OSError as e:
        print(name, e, file=sys.stderr)
        status = "error"
    tell(name, status, len(data), begun)


def connect(host, port, protocol=0):
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol)
    connection.connect((host, port))
    return connection


def ready():
    print("connected", file=sys.stderr, flush=True)
    # Steps at 0s are armed at about the same time.
    time.sleep(0.2 * SLOW)


def ways(host, port, names, count, size):
    connection = connect(host, port)
    ready()
    for number in range(1, count + 1):
        for way in names:
            message(connection, f"{way}-{number}", size * number, way)
    finish(connection)


def finish(connection):
    """Until the server has read and noted all of it, and closed its end."""
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(4096):
        pass
    connection.close()


def threads(host, port, _names, count, size):
    """Four threads on one socket, each with a letter of its own."""
    connection = connect(host, port)
    if size > 10_000:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 20_000)
    ready()

    def work(letter):
        os.write(2, f"thread {letter} {threading.get_native_id()}\n".encode())
        for number in range(1, count + 1):
            begun = time.monotonic()
            connection.sendall(letter.encode() * size)
            tell(f"{letter}-{number}", "ok", size, begun)

    workers = [threading.Thread(target=work, args=(letter,)) for letter in "abcd"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    finish(connection)


def fork(host, port, _names, count, size):
    """The child and its parent take turns on one socket."""
    connection = connect(host, port)
    ready()
    mine, other = socket.socketpair()
    child = os.fork() == 0
    turn = other if child else mine
    name = "child" if child else "parent"
    for number in range(1, count + 1):
        if child:
            turn.recv(1)
        message(connection, f"{name}-{number}", size)
        turn.send(b"x")
        if not child:
            turn.recv(1)
    if child:
        os._exit(0)
    os.wait()
    finish(connection)


def give(host, port, names, count, size):
    """Opens a connection, sends over it, and hands it to whoever listens at the path names[0]."""
    connection = connect(host, port)
    ready()
    message(connection, "giver-1", size)
    unix = socket.socket(socket.AF_UNIX)
    while unix.connect_ex(names[0]):
        time.sleep(0.01)
    socket.send_fds(unix, [b"x"], [connection.fileno()])
    unix.recv(1)
    message(connection, "giver-2", size)
    finish(connection)


def take(host, port, names, count, size):
    """The other side of `give`."""
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(names[0])
    unix.listen()
    print("connected", file=sys.stderr, flush=True)
    peer, _ = unix.accept()
    _, descriptors, _, _ = socket.recv_fds(peer, 1, 1)
    connection = socket.socket(fileno=descriptors[0])
    for number in range(1, count + 1):
        message(connection, f"taker-{number}", size)
    peer.send(b"x")


def halfclose(host, port, _names, count, size):
    connection = connect(host, port)
    ready()
    for number in range(1, count + 1):
        message(connection, f"msg-{number}", size)
    connection.shutdown(socket.SHUT_WR)
    answer = connection.makefile("r").read()
    print("answer", answer.strip(), file=sys.stderr, flush=True)
    message(connection, "after", size)
    connection.close()


def fastopen(host, port, _names, count, size):
    """One connection for each message, which goes with the SYN."""
    print("connected", file=sys.stderr, flush=True)
    time.sleep(0.2 * SLOW)
    for number in range(1, count + 1):
        connection = socket.socket()
        data = body(f"msg-{number}", size)
        begun = time.monotonic()
        sent = connection.sendto(data, MSG_FASTOPEN, (host, port))
        if sent < len(data):
            connection.sendall(data[sent:])
        tell(f"msg-{number}", "ok", len(data), begun)
        message(connection, f"more-{number}", size)
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)
        # TCPI_OPT_SYN_DATA (32): the SYN's data was acknowledged with the SYN.
        print("syn data", bool(info[5] & 32), file=sys.stderr, flush=True)
        finish(connection)


def idle(host, port, _names, count, size):
    """Keepalives each second before and after messages; with a server that is slow, window probes."""
    connection = connect(host, port)
    for option, value in [(socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 9)]:
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100_000)
    ready()
    for number in range(1, count + 1):
        message(connection, f"msg-{number}", size)
        if number < count:
            time.sleep(2.2 * SLOW)
    finish(connection)


def bulk(host, port, _names, count, size):
    """Large messages, and a small one after each."""
    connection = connect(host, port)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
    ready()
    data = bytearray(body("bulk-0", size))
    for number in range(1, count + 1):
        # So much memory is made once.
        data[5] = ord("0") + number
        begun = time.monotonic()
        connection.sendall(data)
        tell(f"bulk-{number}", "ok", size, begun)
        message(connection, f"msg-{number}", 100)
    finish(connection)


def ktls(host, port, _names, count, size):
    """The kernel encrypts: each message becomes a record. Exit code 3: this kernel does not."""
    connection = connect(host, port)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, 31, b"tls")  # TCP_ULP
    except FileNotFoundError:
        print("no tls", file=sys.stderr, flush=True)
        sys.exit(3)
    # linux/tls.h: struct tls12_crypto_info_aes_gcm_128 with TLS 1.2, as TLS_TX of SOL_TLS.
    info = (0x0303).to_bytes(2, sys.byteorder) + (51).to_bytes(2, sys.byteorder)
    info += b"i" * 8 + b"k" * 16 + b"s" * 4 + bytes(8)
    connection.setsockopt(282, 1, info)
    ready()
    for number in range(1, count + 1):
        message(connection, f"record-{number}", size)
    # A FIN without a farewell record is all that the recorder needs.
    finish(connection)


def mptcp(host, port, _names, count, size):
    connection = connect(host, port, IPPROTO_MPTCP)
    ready()
    for number in range(1, count + 1):
        message(connection, f"msg-{number}", size)
    time.sleep(0.3)
    connection.close()


def main():
    host, port, mode = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    count = int(sys.argv[4]) if len(sys.argv) > 4 else 3
    size = int(sys.argv[5]) if len(sys.argv) > 5 else 1000
    mode, *names = mode.split(":")
    special = globals().get(mode)
    if mode not in WAYS and callable(special):
        special(host, port, names, count, size)
    else:
        ways(host, port, mode.split(","), count, size)


main()
