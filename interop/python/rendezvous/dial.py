"""A dial: the connection to the server of a record, and the handshake."""

from __future__ import annotations

import os
import socket
import stat
import struct
import time
from typing import Optional

from . import wire
from .files import Point


class Ended(Exception):
    """The call cannot succeed: its text says why."""


class Suspicion(Exception):
    """A dial that failed: the server may be dead, which only its lifetime lock can show."""


def dial(
    point: Point,
    record: wire.Record,
    intent: int,
    tag: bytes,
    until: float,
    states: int = 0,
    refuses: Optional[str] = None,
) -> tuple[socket.socket, wire.Welcome]:
    """Connects to the server of a record and goes through the handshake.

    `states` is the version that the client states. With `refuses` it ends after the server's proof, with this text.
    """
    stream = None
    try:
        stream = reach(point, record.address, until)
        hello = wire.Handshake.new(record, point.identity(), tag, states, intent)
        send(stream, hello.hello(), until)
        agreed = hello.judge_proof(receive(stream, wire.SERVER_PROOF, until))
        if refuses is not None:
            raise Ended(refuses)
        send(stream, agreed.proof(), until)
        welcome = agreed.judge_welcome(receive(stream, wire.WELCOME, until))
        stream.settimeout(None)
        stream, connected = None, stream
        return connected, welcome
    except (socket.timeout, TimeoutError):
        raise Suspicion("no answer in time") from None
    except (ConnectionRefusedError, FileNotFoundError):
        raise Suspicion("refused") from None
    except (ConnectionResetError, ConnectionAbortedError, BrokenPipeError, EOFError):
        raise Suspicion("closed") from None
    except wire.Impostor:
        raise Suspicion("impostor") from None
    except wire.InvalidReply:
        raise Suspicion("invalid reply") from None
    except wire.Unsupported as unsupported:
        raise Ended(str(unsupported)) from None
    except wire.OtherProtocol as other:
        raise Ended(f"the server speaks the protocol {other}") from None
    except wire.TurnedAway:
        raise Ended("the server has no room") from None
    finally:
        if stream is not None:
            stream.close()


def reach(point: Point, address: wire.Address, until: float) -> socket.socket:
    if isinstance(address, wire.Port):
        return dial_port(address, until)
    return dial_socket(point, address, until)


def dial_socket(point: Point, address: wire.Unix, until: float) -> socket.socket:
    path = point.socket(address)
    while True:
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            stream.setblocking(False)
            connect_path(stream, path)
            _pid, user, _group = struct.unpack("3i", stream.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            if user != os.geteuid():
                raise wire.Impostor()
            return stream
        except PermissionError:
            stream.close()
            found = os.lstat(path)
            if stat.S_ISSOCK(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o200:
                raise Suspicion("not writable") from None
            raise
        except (BlockingIOError, InterruptedError):
            stream.close()
            if time.monotonic() >= until:
                raise socket.timeout() from None
            time.sleep(0.002)
        except BaseException:
            stream.close()
            raise


def connect_path(stream: socket.socket, path: str) -> None:
    if len(os.fsencode(path)) <= 107:
        return stream.connect(path)
    directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        stream.connect(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
    finally:
        os.close(directory)


def dial_port(address: wire.Port, until: float) -> socket.socket:
    family = socket.AF_INET6 if address.ip.version == 6 else socket.AF_INET
    stream = socket.socket(family, socket.SOCK_STREAM)
    try:
        stream.settimeout(left(until))
        stream.connect((str(address.ip), address.port))
        if stream.getsockname()[:2] == stream.getpeername()[:2]:
            raise Suspicion("a connection to itself")
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return stream
    except BaseException:
        stream.close()
        raise


def send(stream: socket.socket, message: bytes, until: float) -> None:
    stream.settimeout(left(until))
    stream.sendall(message)


def receive(stream: socket.socket, length: int, until: float) -> bytes:
    """Receives exactly so many bytes: the next may belong to the service."""
    message = b""
    while len(message) < length:
        stream.settimeout(left(until))
        more = stream.recv(length - len(message))
        if not more:
            raise EOFError()
        message += more
    return message


def left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise socket.timeout()
    return left
