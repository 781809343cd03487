"""Marks single connections among many with a line on stdout, from one of two threads.

Arguments: HOST PORT OTHER_PORT ROUNDS NOTES GO. When GO is there: in each round a plain
connection, a marked one and a plain one to PORT, while another thread keeps connecting to
OTHER_PORT. NOTES gets a JSON line for each connection to PORT.
"""

import json
import os
import socket
import sys
import threading
import time

TIMEOUT = 0.08 * int(os.environ.get("FLOWFAULT_TEST_SLOW", "1"))


def connect(address, marked, timeout):
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    connection.bind((address[0], 0))
    note = {"local": f"{address[0]}:{connection.getsockname()[1]}", "marked": marked}
    connection.settimeout(timeout)
    try:
        connection.connect(address)
        note["connected"] = True
    except TimeoutError:
        note["connected"] = False
    if marked:
        time.sleep(TIMEOUT)  # one that is named only after its SYN must still be there then
    connection.close()
    return note


def bustle(address, stop):
    while not stop.is_set():
        socket.create_connection(address).close()


def main():
    host, port, other, rounds, path, go = sys.argv[1:7]
    here, there = (host, int(port)), (host, int(other))
    print("ready", flush=True)
    while not os.path.exists(go):
        time.sleep(0.01)
    stop = threading.Event()
    threading.Thread(target=bustle, args=(there, stop)).start()
    with open(path, "w") as notes:
        for _ in range(int(rounds)):
            before = connect(here, False, 5)
            print("creating marked connection", flush=True)
            marked = connect(here, True, TIMEOUT)
            after = connect(here, False, 5)
            for note in (before, marked, after):
                notes.write(json.dumps(note) + "\n")
    stop.set()


main()
