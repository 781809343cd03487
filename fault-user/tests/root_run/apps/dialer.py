"""Opens one connection after the other to echo servers, and says how each fared.

Arguments: HERE WAIT SPEC... where HERE is a file for the account: a JSON line for each connection. Each SPEC is
NAME;key=value...: to=HOST:PORT, from=HOST:PORT (default: any), uid=N (default: ours), hello=FILE (what it
sends first), cut=N+N (where that is cut into separate segments), at=SECONDS (default: when the one before is done
connecting). All are open together, then each sends four times "hello" and waits for its echo.
"""

import json
import os
import socket
import struct
import sys
import time

SLOW = float(os.environ.get("FLOWFAULT_TEST_SLOW", "1"))
TIMEOUT = 0.3 * SLOW
ROUNDS = 4


def address(text):
    host, port = text.rsplit(":", 1)
    return host.strip("[]"), int(port)


def retransmits(connection):
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
    return struct.unpack_from("I", info, 100)[0]


def spec(text):
    name, *keys = text.split(";")
    return name, dict(key.split("=", 1) for key in keys)


def opened(keys):
    there = address(keys["to"])
    family = socket.AF_INET6 if ":" in there[0] else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if "from" in keys:
        connection.bind(address(keys["from"]))
    connection.settimeout(TIMEOUT)
    uid = int(keys.get("uid", os.getuid()))
    before = os.getuid()
    os.setresuid(uid, before, before)
    try:
        connection.connect(there)
        return connection, True
    except OSError:
        return connection, False
    finally:
        os.setresuid(before, before, before)


def echoed(connection, data):
    """How many bytes of it come back."""
    back = 0
    try:
        connection.sendall(data)
        while back < len(data):
            got = connection.recv(65536)
            if not got:
                break
            back += len(got)
    except OSError:
        pass
    return back


def greet(connection, keys):
    """Sends the hello in its pieces, each a segment of its own."""
    with open(keys["hello"], "rb") as file:
        data = file.read()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    at = 0
    try:
        for cut in [int(n) for n in keys.get("cut", "").split("+") if n] + [len(data)]:
            connection.sendall(data[at:cut])
            at = cut
            time.sleep(0.02)
        back = 0
        while back < len(data):
            got = connection.recv(65536)
            if not got:
                break
            back += len(got)
    except OSError:
        return False
    return back == len(data)


def main():
    path, wait, *specs = sys.argv[1:]
    print("ready", flush=True)
    time.sleep(float(wait) * SLOW)
    began = time.monotonic()
    accounts, connections = [], []
    for name, keys in map(spec, specs):
        time.sleep(max(0, began + float(keys.get("at", 0)) * SLOW - time.monotonic()))
        connection, connected = opened(keys)
        account = {"name": name, "connected": connected, "local": connection.getsockname()[1]}
        if "hello" in keys and connected:
            account["greeted"] = greet(connection, keys)
        accounts.append(account)
        connections.append(connection)
    for account, connection in zip(accounts, connections):
        account["echoes"] = 0
        for _ in range(ROUNDS if account["connected"] else 0):
            if echoed(connection, b"hello") != 5:
                break
            account["echoes"] += 1
        account["retransmits"] = retransmits(connection)
    with open(path, "w") as file:
        for account in accounts:
            file.write(json.dumps(account) + "\n")
    # With a reset, so that nothing is sent again when the faults are lifted.
    for connection in connections:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()


main()
