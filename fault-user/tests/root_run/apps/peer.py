"""A server of lines: `ID` is noted in the receipts file and answered with `ack ID`.

Arguments: HOST PORT RECEIPTS [quiet]; with `quiet` nothing is answered.
"""

import json
import socket
import sys
import threading
import time


def serve(client, peer, receipts, lock, quiet):
    host = f"[{peer[0]}]" if ":" in peer[0] else peer[0]
    try:
        for line in client.makefile("r"):
            name = line.split(" ", 1)[0].strip()
            with lock:
                note = {"id": name, "peer": f"{host}:{peer[1]}", "t_ms": int(time.time() * 1000)}
                receipts.write(json.dumps(note) + "\n")
                receipts.flush()
            if not quiet:
                client.sendall(f"ack {name}\n".encode())
    except OSError:
        pass  # the client is gone: nothing more to note


def main():
    host, port, path = sys.argv[1:4]
    quiet = "quiet" in sys.argv[4:]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, int(port)))
    listener.listen(128)
    receipts, lock = open(path, "a"), threading.Lock()
    print("listening", flush=True)
    while True:
        client, peer = listener.accept()
        arguments = (client, peer, receipts, lock, quiet)
        threading.Thread(target=serve, args=arguments, daemon=True).start()


main()
