"""Many small sends over a connection to itself: COUNT of them, SIZE bytes each."""

import socket
import sys
import threading
import time

count, size = int(sys.argv[1]), int(sys.argv[2])
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
server, _ = listener.accept()
print("connected", flush=True)


def read():
    left = count * size
    while left > 0:
        left -= len(server.recv(1 << 16))


reader = threading.Thread(target=read)
reader.start()
time.sleep(0.2)
for _ in range(count):
    client.sendall(b"x" * size)
reader.join()
# The last acknowledgement may take its time.
time.sleep(0.2)
