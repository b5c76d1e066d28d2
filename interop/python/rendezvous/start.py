"""The lines between a client and the server that it starts, and the life file: docs/wire.md, *Start of a server*."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Optional, Union

from .record import U32, U64, Malformed, Record, find, number, read_machine, unhex, words

ORDER_MAX = 32 * 1024
REPLY_MAX = 2048
DEPTH_MAX = 3
VARIABLE = "RENDEZVOUS_START"
ORDER = b"rendezvous start "
REGISTERED = b"registered\n"


def escape(text: bytes) -> str:
    return "".join(chr(byte) if 0x21 <= byte <= 0x7E and byte != 0x25 else f"%{byte:02x}" for byte in text)


def unescape(text: str) -> bytes:
    raw = re.sub(b"%([0-9a-f]{2})", lambda found: bytes.fromhex(found[1].decode()), text.encode())
    if escape(raw) != text:
        raise Malformed("another spelling")
    return raw


@dataclass(frozen=True)
class Order:
    """The first line to a server that is started."""

    tag: bytes
    depth: int
    budget: int
    ephemeral: bool
    kernel: str
    name: bytes
    home: bytes
    lib: bytes
    cookie: bytes

    def line(self) -> bytes:
        ephemeral = "true" if self.ephemeral else "false"
        texts = " ".join(map(escape, (self.name, self.home, self.lib)))
        numbers = f"{self.depth} {self.budget} {ephemeral}"
        line = f"rendezvous start 3 {self.tag.hex()} {numbers} {self.kernel} {texts} {self.cookie.hex()}\n"
        if len(line) > ORDER_MAX:
            raise Malformed("too long")
        return line.encode()

    @staticmethod
    def read(line: bytes) -> Order:
        text = line.decode("ascii")
        if not text.startswith("rendezvous start 3 ") or not text.endswith("\n"):
            raise Malformed("another version")
        tag, depth, budget, ephemeral, kernel, name, home, lib, cookie = words(text[19:-1], " ", 9)
        if ephemeral not in ("true", "false"):
            raise Malformed("neither true nor false")
        boot, machine = words(kernel, "/", 2)
        unhex(boot, 16), read_machine(machine)
        return Order(
            unhex(tag, 16),
            number(depth, 256),
            number(budget, U64),
            ephemeral == "true",
            kernel,
            unescape(name),
            unescape(home),
            unescape(lib),
            unhex(cookie, 32),
        )


@dataclass(frozen=True)
class Busy:
    """Another process holds the lifetime lock."""


@dataclass(frozen=True)
class Failed:
    """The server could not start."""

    reason: str


def read_reply(line: bytes) -> Union[Record, Busy, Failed, None]:
    """Reads a line with its newline; `None` is no reply."""
    if line.startswith(b"rendezvous ready "):
        found = find(line[17:])
        return found if isinstance(found, Record) else None
    if line == b"rendezvous busy\n":
        return Busy()
    if not line.startswith(b"rendezvous failed ") or not line.endswith(b"\n") or b"rendezvous ready " in line:
        return None
    try:
        return Failed(line[18:-1].decode())
    except UnicodeDecodeError:
        return None


def read_drains(life: bytes) -> Optional[tuple[int, int]]:
    """Returns the PID of a server that drains, and until when, from the end of a life file."""
    found = re.fullmatch(b"pid ([0-9]{10}) drains until ([0-9]{12}) seconds since 1970\n", life[-60:])
    if not found:
        return None
    pid, until = int(found[1]), int(found[2])
    return (pid, until) if pid < U32 and until <= 253402300799 else None
