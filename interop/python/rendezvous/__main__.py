"""The client from a shell: `python3 -m rendezvous connect --home HOME --name NAME -- PROGRAM ARGUMENT…`.

It prints what happened in one line. After `connect` and `join` it sends its standard input to the server, and prints
the answer in hex.
"""

from __future__ import annotations

import argparse
import socket
import sys

from . import Deadline, Ended, Limits, Older, Service, StartFailed, Suspicion, Untrusted, connect, join, retire, status


def main() -> int:
    parser = argparse.ArgumentParser(prog="rendezvous")
    parser.add_argument("call", choices=["connect", "join", "retire", "status"])
    parser.add_argument("--home", required=True, help="the directory of the point")
    parser.add_argument("--name", required=True, help="the name of the service")
    parser.add_argument("--protocol", default="", help="the tag of its protocol")
    parser.add_argument("--version", type=int, default=0, help="the version of the service")
    parser.add_argument("--older", choices=[older.name.lower() for older in Older], default="replace")
    parser.add_argument("--divide", type=float, default=1, help="divide all limits by this number")
    parser.epilog = "behind `--` stands the command of the server, which `connect` starts if there is none"
    own, program = sys.argv[1:], []
    if "--" in own:
        at = own.index("--")
        own, program = own[:at], own[at + 1 :]
    given = parser.parse_args(own)
    service = Service(
        home=given.home,
        name=given.name,
        protocol=given.protocol,
        version=given.version,
        older=Older[given.older.upper()],
        limits=Limits().divided_by(given.divide),
        program=program or None,
    )
    try:
        return call(given.call, service)
    except (Deadline, Ended, StartFailed, Suspicion, Untrusted, OSError) as error:
        print(f"{type(error).__name__}: {error}")
        return 1


def tell(suspicion: str) -> None:
    print(suspicion, file=sys.stderr)


def call(name: str, service: Service) -> int:
    if name == "status":
        welcome = status(service)
        print(f"pid {welcome.pid}, version {welcome.version}, {welcome.clients} clients")
        return 0
    if name == "retire":
        pid = retire(service, tell)
        print("absent" if pid is None else f"retired pid {pid}")
        return 0
    joined = connect(service, tell) if name == "connect" else join(service, tell)
    if joined is None:
        print("absent")
        return 0
    print(f"{'started' if joined.started else 'joined'} pid {joined.welcome.pid}", flush=True)
    with joined.stream as stream:
        stream.sendall(sys.stdin.buffer.read())
        stream.shutdown(socket.SHUT_WR)
        with stream.makefile("rb") as answer:
            print(answer.read().hex())
    return 0


if __name__ == "__main__":
    sys.exit(main())
