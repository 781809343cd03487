"""Sends as fast as it can, or counts what comes.

Arguments: sink HOST (prints its port, and for each connection that ends the bytes that came and the first 8 of them), or
send HOST PORT SIZE ORDERS (prints its cookie and what it has sent; sends SIZE bytes at a time until the file ORDERS says
`quiet`, and ends at `end`), or history HOST PORT BYTES ORDERS (sends so many at once, then 100 at each `one`).
"""

import json
import socket
import struct
import sys
import threading
import time

SO_COOKIE = 57


def say(**told):
    print(json.dumps(told), flush=True)


def drain(connected):
    total = 0
    while data := connected.recv(1 << 20):
        total += len(data)
    say(received=total)


def sink(host):
    listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    say(port=listener.getsockname()[1])
    while True:
        threading.Thread(target=drain, args=(listener.accept()[0],), daemon=True).start()


def history(connected, total):
    chunk, sent = bytes(1 << 20), 0
    while sent < total:
        sent += connected.send(chunk[: total - sent])
    return sent


def main():
    mode, host = sys.argv[1:3]
    if mode == "sink":
        sink(host)
    connected = socket.create_connection((host, int(sys.argv[3])))
    size, orders, sent = int(sys.argv[4]), open(sys.argv[5]), 0
    cookie = struct.unpack("=Q", connected.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8))[0]
    chunk, sending = bytes(size if mode == "send" else 100), mode == "send"
    if mode == "history":
        sent = history(connected, size)
    say(cookie=cookie, sent=sent)
    while True:
        for order in orders.read().split():
            if order == "quiet":
                sending = False
            elif order == "one":
                sent += connected.send(chunk)
            else:
                return
            say(cookie=cookie, sent=sent, sending=sending)
        for _ in range(500 if sending else 0):
            sent += connected.send(chunk)
        if not sending:
            time.sleep(0.01)


main()
