"""All bytes of the wire, without I/O: docs/wire.md has each of them."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import re
from dataclasses import dataclass, replace
from typing import Optional, Union

U32 = 2**32
U64 = 2**64

CONNECT, STATUS, RETIRE = 1, 2, 3
NO_TAG = bytes(32)


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
        fields = f"rendezvous 1 native {self.scope} {self.address} {self.cookie.hex()} {self.pid} {self.started} {self.version} "
        return fields.encode() + checksum(fields.encode()).hex().encode() + b"\n"

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


# Handshake

VERSION = 2
HELLO, SERVER_PROOF, CLIENT_PROOF, WELCOME = 39, 71, 68, 109
CLIENT, SERVER, ADMISSION = 1, 2, 3


class Impostor(Exception):
    """The peer is no server of this point."""


class InvalidReply(Exception):
    """The server sent what no server sends."""


class Unsupported(Exception):
    """A live server refuses, and proved it."""


class OtherProtocol(Exception):
    """A live server speaks another protocol."""


class Full(Exception):
    """A live server has no room at the moment."""


class TurnedAway(Exception):
    """A live server has no room, and nobody is to wait."""


@dataclass(frozen=True)
class Welcome:
    """What a server says about itself."""

    pid: int
    version: int
    uptime: int
    clients: int
    welcomed: int
    refused: int
    restored: int
    tag: bytes


def spell_tag(text: str) -> bytes:
    """Returns the 32 bytes of a tag; of an empty text, those that state none."""
    if text and not re.fullmatch("[!-~]{1,32}", text, re.ASCII):
        raise ValueError(f"no tag: {text!r}")
    return text.encode().ljust(32, b"\0")


def is_tag(tag: bytes) -> bool:
    return re.fullmatch(b"[!-~]{1,32}\0*|\0{32}", tag) is not None


@dataclass(frozen=True)
class Handshake:
    """A client's side of one handshake: make it, send `hello`, then `proof`, and `judge` both answers."""

    record: Record
    point: bytes
    tag: bytes
    service: int
    nonce: bytes
    intent: int
    version: int = VERSION
    answered: bytes = b""

    @staticmethod
    def new(record: Record, point: bytes, tag: bytes, service: int, intent: int) -> Handshake:
        return Handshake(record, point, tag, service, os.urandom(32), intent)

    def hello(self) -> bytes:
        return b"RDVZ" + self.version.to_bytes(2, "big") + bytes([self.intent]) + self.nonce

    def covers(self, role: int, server: bytes, *said: bytes) -> bytes:
        """Returns the bytes under a MAC. `server` is the server's proof without its MAC."""
        nonce, answer = server[:32], server[32:39]
        frozen = self.version != VERSION or answer[1:3] != VERSION.to_bytes(2, "big")
        scope = self.record.scope
        parts = [
            b"rendezvous-ipc handshake" if frozen else b"rendezvous-ipc handshake 2",
            b"native",
            bytes([role]),
            self.version.to_bytes(2, "big"),
            bytes([self.intent]),
            scope.boot,
            scope.namespace.to_bytes(8, "big"),
            scope.machine or b"",
            self.record.address.bytes(),
            *([] if frozen else [self.point]),
            self.nonce,
            nonce,
            answer,
            *said,
        ]
        return b"".join(bytes([len(part)]) + part for part in parts)

    def mac(self, role: int, server: bytes, *said: bytes) -> bytes:
        return hmac.new(self.record.cookie, self.covers(role, server, *said), hashlib.sha256).digest()

    def judge_proof(self, message: bytes) -> Handshake:
        """Judges the server's proof, and returns the handshake that goes on."""
        server, mac = message[:39], message[39:]
        if not hmac.compare_digest(self.mac(SERVER, server), mac):
            raise Impostor()
        verdict, version = server[32], int.from_bytes(server[33:35], "big")
        if verdict in (1, 2):
            what = "the version" if verdict == 1 else "the intent"
            raise Unsupported(f"the server speaks version {version} of the handshake, and refuses {what}")
        if verdict != 0 or version != VERSION:
            raise InvalidReply()
        return replace(self, answered=server)

    def claim(self) -> bytes:
        return self.tag + self.service.to_bytes(4, "big")

    def proof(self) -> bytes:
        return self.claim() + self.mac(CLIENT, self.answered, self.claim())

    def judge_welcome(self, message: bytes) -> Welcome:
        said, mac = message[:77], message[77:]
        if not hmac.compare_digest(self.mac(ADMISSION, self.answered, self.claim(), said), mac):
            raise InvalidReply()
        tag = said[45:]
        if not is_tag(tag):
            raise InvalidReply()
        ends = [0, 1, 5, 9, 17, 21, 29, 37, 45]
        kind, *numbers = [said[a:b] for a, b in zip(ends, ends[1:])]
        welcome = Welcome(*(int.from_bytes(number, "big") for number in numbers), tag)
        if kind == b"W":
            return welcome
        if kind == b"P":
            raise OtherProtocol(tag.rstrip(b"\0").decode())
        if kind == b"F":
            raise Full(welcome.clients)
        if kind == b"T":
            raise TurnedAway(welcome.clients)
        raise InvalidReply()


# Start

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
        line = f"rendezvous start 3 {self.tag.hex()} {self.depth} {self.budget} {ephemeral} {self.kernel} {texts} {self.cookie.hex()}\n"
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


# Life file


def read_drains(life: bytes) -> Optional[tuple[int, int]]:
    """Returns the PID of a server that drains, and until when, from the end of a life file."""
    found = re.fullmatch(b"pid ([0-9]{10}) drains until ([0-9]{12}) seconds since 1970\n", life[-60:])
    if not found:
        return None
    pid, until = int(found[1]), int(found[2])
    return (pid, until) if pid < U32 and until <= 253402300799 else None
