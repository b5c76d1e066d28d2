"""The messages of the handshake: docs/wire.md, *Handshake*."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from dataclasses import dataclass, replace

from .record import Record

CONNECT, STATUS, RETIRE = 1, 2, 3
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
