"""A server that writes down where in its stream each message stood.

A message is a line; its id is what stands before the first blank. One JSON line for each: id, peer, from, to
(positions in the stream, from 0), and `eof` with the length of the stream at its end.

Arguments: HOST PORT RECEIPTS [OPTION...]
    runs      no lines: which byte was repeated, from where to where
    records   no lines: TLS records, as record-1 and so on
    fastopen  takes data with the SYN
    answer    after the peer's FIN, `bye` goes back
    slow      reads nothing for the first 2.5 s, into a small buffer
    mptcp     listens for MPTCP
"""

import json
import re
import socket
import sys
import threading
import time

CHUNK = 1 << 20
HEAD = 64


class Lines:
    def __init__(self, note):
        self.note, self.at, self.begun, self.head = note, 0, 0, b""

    def take(self, data, got):
        start = 0
        while (end := data.find(b"\n", start, got)) >= 0:
            self.head = (self.head + data[start : min(end, start + HEAD)])[:HEAD]
            name = bytes(self.head).split(b" ", 1)[0].decode()
            self.note(id=name, **{"from": self.begun, "to": self.at + end + 1})
            self.begun, self.head, start = self.at + end + 1, b"", end + 1
        if len(self.head) < HEAD:
            self.head = (self.head + data[start : min(got, start + HEAD)])[:HEAD]
        self.at += got

    def end(self):
        pass


class Records:
    def __init__(self, note):
        self.note, self.at, self.rest, self.count = note, 0, b"", 0

    def take(self, data, got):
        self.rest += bytes(data[:got])
        while len(self.rest) >= 5:
            size = 5 + int.from_bytes(self.rest[3:5], "big")
            if len(self.rest) < size:
                break
            self.count += 1
            self.note(id=f"record-{self.count}", **{"from": self.at, "to": self.at + size})
            self.at, self.rest = self.at + size, self.rest[size:]

    def end(self):
        pass


class Runs:
    def __init__(self, note):
        self.note, self.at, self.begun, self.byte = note, 0, 0, b""

    def take(self, data, got):
        for run in re.finditer(rb"(.)\1*", bytes(data[:got]), re.DOTALL):
            if run[1] != self.byte:
                self.end(self.at + run.start())
                self.begun, self.byte = self.at + run.start(), run[1]
        self.at += got

    def end(self, until=None):
        if self.byte:
            self.note(id=self.byte.decode(), **{"from": self.begun, "to": until or self.at})


def serve(client, peer, receipts, lock, options):
    def note(**what):
        what["peer"] = f"{peer[0]}:{peer[1]}"
        with lock:
            receipts.write(json.dumps(what) + "\n")
            receipts.flush()

    kinds = {"runs": Runs, "records": Records}
    reader = next((kinds[o] for o in options if o in kinds), Lines)(note)
    if "slow" in options:
        time.sleep(2.5)
    buffer = bytearray(CHUNK)
    try:
        while got := client.recv_into(buffer):
            reader.take(buffer, got)
        if "answer" in options:
            client.sendall(b"bye\n")
    except OSError:
        pass  # the client is gone: what came until then counts
    reader.end()
    note(id="eof", to=reader.at)
    client.close()


def main():
    host, port, path = sys.argv[1:4]
    options = sys.argv[4:]
    protocol = 262 if "mptcp" in options else 0
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if "slow" in options:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    listener.bind((host, int(port)))
    if "fastopen" in options:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
    listener.listen(128)
    receipts, lock = open(path, "a"), threading.Lock()
    print("listening", flush=True)
    while True:
        client, peer = listener.accept()
        arguments = (client, peer, receipts, lock, options)
        threading.Thread(target=serve, args=arguments, daemon=True).start()


main()
