"""What the clients and servers of these tests share; their scripts stand in the tests.

Environment: WIRE_HOST, WIRE_DIR (files of the test), WIRE_NAME (of the script).
"""

import errno
import json
import os
import re
import signal
import socket
import sys
import threading
import time

HOST, DIR, NAME = (os.environ[f"WIRE_{key}"] for key in ("HOST", "DIR", "NAME"))
SLOW = int(os.environ.get("FLOWFAULT_TEST_SLOW", "1"))
FAMILY = socket.AF_INET6 if ":" in HOST else socket.AF_INET
PORT = 7000
# A prime: no power of two of bytes repeats it, so bytes that went astray are seen.
PERIOD = 251
BYSTANDER_ROUNDS, BYSTANDER_SIZE = 20, 1000

# Nothing of a test outlives it, whatever hangs.
signal.alarm(60 * SLOW)


def pattern(length, at=0):
    """Bytes that say where in a stream they stand."""
    start = at % PERIOD
    return (bytes(range(PERIOD)) * (length // PERIOD + 2))[start : start + length]


def note(what, **more):
    """A line for the test."""
    with open(f"{DIR}/{NAME}.notes", "a") as file:
        file.write(json.dumps({"what": what, "at_ms": time.time() * 1e3, **more}) + "\n")


def wait(name):
    """Until the run, or the other side, says so."""
    while not os.path.exists(f"{DIR}/{name}"):
        time.sleep(0.002)


def touch(name):
    open(f"{DIR}/{name}", "w").close()


def outcome(call, *arguments):
    """What a call ends with: "ok", "timeout" (none came within the socket's own), an errno."""
    try:
        call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno] if error.errno else "timeout"
    return "ok"


def connect(port=PORT):
    client = socket.socket(FAMILY)
    client.settimeout(8 * SLOW)
    client.connect((HOST, port))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def listen(*ports):
    listeners = []
    for port in ports or (PORT,):
        listener = socket.socket(FAMILY)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(16)
        listeners.append(listener)
    print("listening", flush=True)
    return listeners[0] if len(listeners) == 1 else listeners


def accept(listener):
    accepted = listener.accept()[0]
    accepted.settimeout(8 * SLOW)
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return accepted


def background(work, *arguments):
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread


def read(sock, length):
    """So many bytes, or what there is until the end; and how it ended."""
    data = bytearray()
    try:
        while len(data) < length:
            part = sock.recv(min(1 << 20, length - len(data)))
            if not part:
                return bytes(data), "end"
            data += part
    except OSError as error:
        return bytes(data), errno.errorcode[error.errno] if error.errno else "timeout"
    return bytes(data), "ok"


def wrong(data):
    """Positions and flipped bits of bytes that are not the pattern's."""
    size = len(data)
    flips = int.from_bytes(data, "big") ^ int.from_bytes(pattern(size), "big")
    return [[m.start(), m[0][0]] for m in re.finditer(rb"[^\0]", flips.to_bytes(size, "big"), re.S)]


def serve_bystander(sock):
    """The echo at the far end of a connection that no fault is meant for."""
    size = BYSTANDER_ROUNDS * BYSTANDER_SIZE

    def echo():
        left = size
        while left:
            data = sock.recv(min(left, 1 << 16))
            if not data:
                return
            sock.sendall(data)
            left -= len(data)

    return background(echo)


def use_bystander(sock):
    """Messages over a connection that no fault is meant for, each answered; how many were."""
    answered = 0
    for n in range(BYSTANDER_ROUNDS):
        message = pattern(BYSTANDER_SIZE, n * BYSTANDER_SIZE)
        sock.sendall(message)
        data, how = read(sock, BYSTANDER_SIZE)
        answered += how == "ok" and data == message
    note("bystander", answered=answered, port=sock.getsockname()[1])
