"""The record, and what stands in it: docs/wire.md, *Record*."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from dataclasses import dataclass
from typing import Optional, Union

U32 = 2**32
U64 = 2**64


class Malformed(Exception):
    """These bytes are not what they should be."""


def number(text: str, below: int) -> int:
    """Reads a number in its one spelling."""
    if not re.fullmatch("0|[1-9][0-9]*", text, re.ASCII) or int(text) >= below:
        raise Malformed(f"no number: {text!r}")
    return int(text)


def unhex(text: str, length: int) -> bytes:
    """Reads so many bytes in their one spelling."""
    if not re.fullmatch("[0-9a-f]*", text, re.ASCII) or len(text) != 2 * length:
        raise Malformed("no hex")
    return bytes.fromhex(text)


# Scope and address


def digest_of_id(file: bytes) -> bytes:
    """Returns what a record has of the id of a boot or a machine."""
    return hashlib.sha256(b"rendezvous-ipc scope " + file.strip(b" \t\n\r\f")).digest()[:16]


@dataclass(frozen=True)
class Scope:
    """Where an address is valid."""

    boot: bytes
    namespace: int
    machine: Optional[bytes]

    def __str__(self) -> str:
        return f"{self.boot.hex()}/{self.namespace}/{spell_machine(self.machine)}"

    @property
    def kernel(self) -> str:
        """Returns boot and machine as an order has them."""
        return f"{self.boot.hex()}/{spell_machine(self.machine)}"

    @staticmethod
    def read(text: str) -> Scope:
        boot, namespace, machine = words(text, "/", 3)
        return Scope(unhex(boot, 16), number(namespace, U64), read_machine(machine))


def spell_machine(machine: Optional[bytes]) -> str:
    return "-" if machine is None else machine.hex()


def read_machine(text: str) -> Optional[bytes]:
    return None if text == "-" else unhex(text, 16)


def words(text: str, separator: str, count: int) -> list[str]:
    parts = text.split(separator)
    if len(parts) != count:
        raise Malformed(f"{len(parts)} fields in place of {count}")
    return parts


@dataclass(frozen=True)
class Unix:
    """A socket beside the point, by its ID."""

    id: bytes

    def __str__(self) -> str:
        return f"unix:{self.id.hex()}"

    def bytes(self) -> bytes:
        return b"unix" + bytes(6) + self.id


@dataclass(frozen=True)
class Port:
    """A port of the loopback."""

    ip: Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
    port: int

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if self.ip.version == 6 else f"{self.ip}:{self.port}"

    def bytes(self) -> bytes:
        mapped = b"" if self.ip.version == 6 else bytes(10) + b"\xff\xff"
        return mapped + self.ip.packed + self.port.to_bytes(2, "big")


Address = Union[Unix, Port]


def read_address(text: str) -> Address:
    if text.startswith("unix:"):
        return Unix(unhex(text[5:], 8))
    host, _, port = text.rpartition(":")
    try:
        address = Port(ipaddress.ip_address(host.strip("[]")), number(port, 2**16))
    except ValueError as error:
        raise Malformed(str(error)) from error
    loopback = address.ip.is_loopback and (address.ip.version == 4 or address.ip == ipaddress.ip_address("::1"))
    if not loopback or address.port == 0 or str(address) != text:
        raise Malformed(f"no address: {text}")
    return address


def identity(file_system: int, inode: int, name: bytes) -> bytes:
    """Returns the identity of a point."""
    text = b"rendezvous-ipc point " + file_system.to_bytes(8, "big") + inode.to_bytes(8, "big") + name
    return hashlib.sha256(text).digest()


# Record

RECORD_MAX = 1024


@dataclass(frozen=True)
class Record:
    """How to reach a registered server."""

    scope: Scope
    address: Address
    cookie: bytes
    pid: int
    started: int
    version: int

    def line(self) -> bytes:
        numbers = f"{self.pid} {self.started} {self.version}"
        fields = f"rendezvous 1 native {self.scope} {self.address} {self.cookie.hex()} {numbers} ".encode()
        return fields + checksum(fields).hex().encode() + b"\n"

    def __repr__(self) -> str:
        return f"Record({self.address}, pid {self.pid})"  # without the cookie


@dataclass(frozen=True)
class Newer:
    """A record of a newer format."""

    format: int


@dataclass(frozen=True)
class OtherDialect:
    """A record of the other dialect."""


@dataclass(frozen=True)
class Nothing:
    """No file, no bytes, or bytes that are no record, and why."""

    why: str


Found = Union[Record, Newer, OtherDialect, Nothing]


def checksum(fields: bytes) -> bytes:
    return hashlib.sha256(fields).digest()[:16]


def find(content: bytes) -> Found:
    """Says what the bytes of a point are."""
    if not content:
        return Nothing("empty")
    if is_other_dialect(content):
        return OtherDialect()
    try:
        return read_record(content)
    except (Malformed, UnicodeDecodeError) as error:
        return Nothing(f"malformed: {error}")


def is_other_dialect(content: bytes) -> bool:
    host, port = content[32:42], content[42:]
    try:
        return host == b"127.0.0.1:" and number(port.decode("ascii"), 2**16) > 0
    except (Malformed, UnicodeDecodeError):
        return False


def read_record(content: bytes) -> Union[Record, Newer]:
    if len(content) > RECORD_MAX:
        raise Malformed("too long")
    if not content.startswith(b"rendezvous") or not content.endswith(b"\n"):
        raise Malformed("no record")
    at = content.rfind(b" ") + 1
    if unhex(content[at:-1].decode("ascii"), 16) != checksum(content[:at]):
        raise Malformed("the checksum does not fit")
    token, *fields = content[: at - 1].decode("ascii").split(" ")
    if token != "rendezvous" or not fields:
        raise Malformed("no record")
    form = number(fields[0], U32)
    if form > 1:
        return Newer(form)
    if form != 1 or len(fields) != 8 or fields[1] != "native":
        raise Malformed("another format or dialect")
    scope, address, cookie, pid, started, version = fields[2:]
    return Record(
        Scope.read(scope),
        read_address(address),
        unhex(cookie, 32),
        number(pid, U32),
        number(started, U64),
        number(version, U32),
    )
