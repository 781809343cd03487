"""A program that has been up for a while: it sends over its connections and says what became of each.

Arguments: connect HOST PORT COUNT ORDERS, accept HOST ORDERS, later HOST ORDERS (accepts after the order `listen`), or echo HOST PORT COUNT ORDERS (gives back what
comes). The file ORDERS is read as it grows, a word a line: `go` and `quiet` begin and end the sending, `open` makes
another connection, `close` closes the last one, `deaf` closes the listener, `nobody` becomes user 65534, `fork` has a
child open one, which sends for itself and tells nobody.
"""

import json
import os
import socket
import struct
import sys
import time

SO_COOKIE = 57
TOTAL_RETRANS = 100  # offset in struct tcp_info (linux/tcp.h)


class Connection:
    def __init__(self, connected):
        self.socket, self.sent, self.received = connected, 0, 0
        self.fd = connected.fileno()
        self.port = connected.getsockname()[1]
        self.peer = connected.getpeername()[1]
        self.cookie = struct.unpack("=Q", connected.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8))[0]
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setblocking(False)

    def tells(self):
        raw = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        names = ("fd", "port", "peer", "cookie", "sent", "received")
        return {name: getattr(self, name) for name in names} | {
            "retransmits": struct.unpack_from("=I", raw, TOTAL_RETRANS)[0]
        }


def tick(connections, sending, echo):
    for connection in list(connections):
        try:
            while data := connection.socket.recv(65536):
                connection.received += len(data)
                if echo:
                    connection.socket.sendall(data)
            connections.remove(connection)
        except BlockingIOError:
            pass
        if sending and not echo:
            connection.sent += connection.socket.send(b"sixteen letters\n")


def listens(host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, 0), family=family)
    listener.setblocking(False)
    print(json.dumps({"listens": listener.getsockname()[1]}), flush=True)
    return listener


def child(peer):
    connected = socket.create_connection(peer)
    while True:
        connected.sendall(b"sixteen letters\n")
        time.sleep(0.01)


def main():
    mode, host = sys.argv[1:3]
    connections, listener = [], None
    if mode == "accept":
        listener = listens(host)
    elif mode != "later":
        peer = (host, int(sys.argv[3]))
        connections = [Connection(socket.create_connection(peer)) for _ in range(int(sys.argv[4]))]
    orders, sending, said = open(sys.argv[-1]), False, 0
    while True:
        for order in orders.read().split():
            sending = order == "go" if order in ("go", "quiet") else sending
            if order == "open":
                connections.append(Connection(socket.create_connection(peer)))
            if order == "listen":
                listener = listens(host)
            if order == "deaf":
                listener = listener.close()
            if order == "fork" and os.fork() == 0:
                child(peer)
            if order == "nobody":
                os.setuid(65534)
            if order == "close":
                connections.pop().socket.close()
        try:
            while listener:
                connections.append(Connection(listener.accept()[0]))
        except BlockingIOError:
            pass
        tick(connections, sending, mode == "echo")
        said += 1
        told = {"tick": said, "sending": sending, "connections": [c.tells() for c in connections]}
        print(json.dumps(told), flush=True)
        time.sleep(0.01)


main()
