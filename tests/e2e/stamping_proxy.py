"""A TCP proxy in a process of its own that notes when which stream's head passed, by CLOCK_MONOTONIC.

Plain threads and sockets, and none of burst's code: it shall agree with the engine's stamps, not share their errors.
``python -m tests.e2e.stamping_proxy PORT`` prints its own port, serves one connection to PORT, and at its end prints
``{"asked": {stream: ns}, "answered": {stream: ns}}``.
"""

import contextlib
import json
import os
import socket
import sys
import time
from threading import Thread

PREFACE_BYTES = 24  # "PRI * HTTP/2.0 ...", before the client's first frame
HEADERS = 1


def pump(source: socket.socket, target: socket.socket, stamps: dict[int, int], skip: int) -> None:
    """Pass bytes on; stamp each HEADERS frame with the instant of the read that brought its end."""
    rest = b""
    while data := source.recv(262_144):
        now_ns = time.monotonic_ns()
        target.sendall(data)
        rest += data
        if skip:
            cut = min(skip, len(rest))
            rest, skip = rest[cut:], skip - cut
        at = 0
        while at + 9 <= len(rest):
            end = at + 9 + int.from_bytes(rest[at : at + 3], "big")
            if end > len(rest):
                break
            if rest[at + 3] == HEADERS:
                stamps.setdefault(int.from_bytes(rest[at + 5 : at + 9], "big") & 0x7FFFFFFF, now_ns)
            at = end
        rest = rest[at:]
    try:
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


def hurry() -> None:
    """Let nobody else's work delay a stamp, where the system grants that (root)."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def main() -> None:
    """Serve one connection."""
    hurry()
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    near, _ = listener.accept()
    far = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    for one in (near, far):
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    asked: dict[int, int] = {}
    answered: dict[int, int] = {}
    pumps = [
        Thread(target=pump, args=(near, far, asked, PREFACE_BYTES)),
        Thread(target=pump, args=(far, near, answered, 0)),
    ]
    for one in pumps:
        one.start()
    for one in pumps:
        one.join()
    print(json.dumps({"asked": asked, "answered": answered}), flush=True)


if __name__ == "__main__":
    main()
