"""Two blocking connections to one port; each message goes over the second and waits for an
answer. Written by other means than the messenger: no TLS, no frames, no event loop.

Arguments: HOST PORT COUNT [buffered | dawdle]; with `buffered` stdout is left to Python's buffer,
with `dawdle` each line comes 5 ms after what it tells, as from a process that was preempted.
"""

import json
import os
import socket
import sys
import time

SLOW = int(os.environ.get("FLOWFAULT_TEST_SLOW", "1"))
TIMEOUT = 0.25 * SLOW
INTERVAL = 0.15 * SLOW


def send(connection, answers, name):
    begun = time.monotonic()
    try:
        connection.sendall(f"{name} {'x' * 100}\n".encode())
        deadline = begun + TIMEOUT
        status = "timeout"
        while (left := deadline - time.monotonic()) > 0:
            connection.settimeout(left)
            answers[0] += connection.recv(4096).decode()
            *lines, answers[0] = answers[0].split("\n")
            if f"ack {name}" in lines:
                status = "ok"
                break
    except TimeoutError:
        status = "timeout"
    except OSError:
        status = "error"
    elapsed = (time.monotonic() - begun) * 1000
    return {"id": name, "status": status, "elapsed_ms": round(elapsed, 3)}


def main():
    host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    buffered = "buffered" in sys.argv[4:]
    if buffered:
        # Whatever PYTHONUNBUFFERED says in the environment.
        sys.stdout = open(1, "w", buffering=1 << 16)
    first = socket.create_connection((host, port))
    second = socket.create_connection((host, port))
    print("connected", file=sys.stderr, flush=True)
    answers = [""]
    for number in range(1, count + 1):
        next_at = time.monotonic() + INTERVAL
        outcome = send(second, answers, f"msg-{number}")
        if "dawdle" in sys.argv[4:]:
            time.sleep(0.005)
        print(json.dumps(outcome), flush=not buffered)
        time.sleep(max(0, next_at - time.monotonic()))
    first.close()
    second.close()


main()
