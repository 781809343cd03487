"""Runs a command on a terminal of its own until it has drawn a text, then ends it.

Arguments: END TEXT COMMAND...; END is a key, or the number of a signal. Says as JSON how it ended, and in which
state the terminal was left.
"""

import fcntl
import json
import os
import pty
import select
import struct
import sys
import termios

ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"  # the other screen (xterm's ctlseqs)


def read(terminal, seconds):
    if not select.select([terminal], [], [], seconds)[0]:
        return b""
    try:
        return os.read(terminal, 65536)
    except OSError:  # EIO: nobody has the other end any more
        return b""


def cooked(terminal):
    return bool(termios.tcgetattr(terminal)[3] & termios.ICANON)


def main():
    end, text, command = sys.argv[1], sys.argv[2].encode(), sys.argv[3:]
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 180, 0, 0))
    pid = os.fork()
    if pid == 0:
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
        for standard in range(3):
            os.dup2(theirs, standard)
        os.execv(command[0], command)
    drawn = b""
    while text not in drawn and (part := read(ours, 20)):
        drawn += part
    raw = not cooked(ours)
    if end.isdigit():
        os.kill(pid, int(end))
    else:
        os.write(ours, end.encode())
    while part := read(ours, 1):
        drawn += part
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    screens = [drawn.count(ENTER), drawn.count(LEAVE)]
    print(json.dumps({"code": code, "raw": raw, "cooked": cooked(ours), "screens": screens}))


main()
