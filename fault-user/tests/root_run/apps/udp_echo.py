"""Echoes datagrams and notes them: a JSON line in the receipts file for each.

Arguments: RECEIPTS HOST PORT [PORT].
"""

import json
import select
import socket
import sys
import time


def main():
    path, host, *ports = sys.argv[1:]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sockets = []
    for port in ports:
        sockets.append(socket.socket(family, socket.SOCK_DGRAM))
        sockets[-1].bind((host, int(port)))
    print("listening", flush=True)
    with open(path, "a") as receipts:
        while True:
            for ready in select.select(sockets, [], [])[0]:
                datagram, peer = ready.recvfrom(65536)
                name = datagram.split(b" ", 1)[0].decode()
                host = f"[{peer[0]}]" if ":" in peer[0] else peer[0]
                note = {"id": name, "peer": f"{host}:{peer[1]}", "t_ms": int(time.time() * 1000)}
                receipts.write(json.dumps(note) + "\n")
                receipts.flush()
                ready.sendto(datagram, peer)


main()
