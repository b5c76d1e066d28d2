"""Computes the test vectors of docs/wire.md with the client's own code, and reads each message of them.

    python3 interop/python/vectors.py docs/wire.md
"""

from __future__ import annotations

import sys

from rendezvous.handshake import (
    ADMISSION,
    CLIENT,
    CONNECT,
    SERVER,
    Full,
    Handshake,
    Impostor,
    InvalidReply,
    OtherProtocol,
    TurnedAway,
    Unsupported,
    Welcome,
    spell_tag,
)
from rendezvous.record import (
    Malformed,
    Newer,
    OtherDialect,
    Record,
    Scope,
    Unix,
    digest_of_id,
    find,
    identity,
    read_address,
)
from rendezvous.start import REGISTERED, Busy, Failed, Order, read_drains, read_reply


def vectors(page: str) -> dict[str, str]:
    block = page.split("## Test vectors")[1].split("```text\n")[1].split("```")[0]
    pairs = {}
    for line in block.splitlines():
        name, equals, value = line.partition(" = ")
        if not equals:
            name, _, value = line.rpartition(" ")
        pairs[name] = value
    return pairs


class Vectors:
    """The vectors of a page, of which each must be used."""

    def __init__(self, page: str):
        self.left = vectors(page)

    def bytes(self, name: str) -> bytes:
        return bytes.fromhex(self.left.pop(name))

    def line(self, name: str) -> bytes:
        return self.left.pop(name).encode() + b"\n"

    def text(self, name: str) -> str:
        return self.left.pop(name)


def same(name: str, ours, theirs) -> None:
    if ours != theirs:
        sys.exit(f"{name}:\n ours {ours}\n page {theirs}")


def refused(name: str, message: bytes, judge, *errors) -> None:
    """Checks that a message with any bit changed is refused."""
    for at in range(8 * len(message)):
        changed = bytearray(message)
        changed[at // 8] ^= 1 << at % 8
        try:
            judge(bytes(changed))
        except errors:
            continue
        sys.exit(f"{name} is accepted with bit {at} changed")


def raised(judge, message: bytes):
    try:
        judge(message)
    except Exception as error:  # noqa: BLE001 - any, to be compared
        return type(error), *error.args
    return None


def check(page: str) -> None:
    v = Vectors(page)
    file_system, inode, name = int(v.text("file-system")), int(v.text("home-inode")), v.text("name")
    point = identity(file_system, inode, name.encode())
    same("identity", point, v.bytes("identity"))
    same("id", digest_of_id(v.line("id-file")), v.bytes("id"))
    for address in ("unix:00112233aabbccdd", "127.0.0.1:4711", "[::1]:4711"):
        same(address, read_address(address).bytes(), v.bytes(f"address {address}"))
    cookie = v.bytes("cookie")
    scope = Scope(bytes([1] * 16), 4026531840, bytes([2] * 16))
    record = Record(scope, Unix(bytes.fromhex("00112233aabbccdd")), cookie, 4711, 123456, 9)
    no_machine = Scope(scope.boot, scope.namespace, None)
    at_a_port = Record(no_machine, read_address("127.0.0.1:4711"), cookie, 4711, 123456, 9)
    for label, made in (("record", record), ("record-at-a-port", at_a_port)):
        line = v.line(label)
        same(label, made.line(), line)
        same(label, find(line), made)
        for end in range(len(line)):
            same(label, isinstance(find(line[:end]), Record), False)
        same(label, isinstance(find(line + b"\n"), Record), False)
        for at in range(8 * len(line)):
            changed = bytearray(line)
            changed[at // 8] ^= 1 << at % 8
            same(f"{label}, bit {at}", isinstance(find(bytes(changed)), Record), False)

    same("newer-record", find(v.line("newer-record")), Newer(2))
    same("other-dialect", find(v.bytes("other-dialect")), OtherDialect())

    tag = spell_tag("capnp-0x8e5322c1e9282534")
    hello = Handshake(record, point, tag, 8, bytes([5] * 32), CONNECT)
    same("hello", hello.hello(), v.bytes("hello"))
    proof = v.bytes("server-proof")
    same("server-proof-covers", hello.covers(SERVER, proof[:39]), v.bytes("server-proof-covers"))
    refused("server-proof", proof, hello.judge_proof, Impostor)
    agreed = hello.judge_proof(proof)
    same("client-proof-covers", agreed.covers(CLIENT, proof[:39], agreed.claim()), v.bytes("client-proof-covers"))
    same("client-proof", agreed.proof(), v.bytes("client-proof"))
    welcome = v.bytes("welcome")
    covers = agreed.covers(ADMISSION, proof[:39], agreed.claim(), welcome[:77])
    same("welcome-covers", covers, v.bytes("welcome-covers"))
    same("welcome", agreed.judge_welcome(welcome), Welcome(4711, 9, 3600, 2, 5, 1, 0, tag))
    refused("welcome", welcome, agreed.judge_welcome, InvalidReply)
    for label, error in (
        ("other-protocol", (OtherProtocol, "capnp-0x8e5322c1e9282534")),
        ("full", (Full, 2)),
        ("turned-away", (TurnedAway, 2)),
    ):
        message = v.bytes(label)
        same(label, raised(agreed.judge_welcome, message), error)
        refused(label, message, agreed.judge_welcome, InvalidReply)

    for hello_of, refusal, version, intent, why in (
        ("hello-of-intent-77", "refusal-of-intent-77", 2, 77, "2 of the handshake, and refuses the intent"),
        ("hello-of-version-3", "refusal-of-version-3", 3, 1, "2 of the handshake, and refuses the version"),
        ("hello-of-version-1", "refusal-of-version-1", 1, 1, "2 of the handshake, and refuses the version"),
        (None, "refusal-by-version-1", 2, 1, "1 of the handshake, and refuses the version"),
    ):
        sent = Handshake(record, point, tag, 8, bytes([5] * 32), intent, version)
        if hello_of:
            same(hello_of, sent.hello(), v.bytes(hello_of))
        message = v.bytes(refusal)
        same(refusal, raised(sent.judge_proof, message), (Unsupported, f"the server speaks version {why}"))
        refused(refusal, message, sent.judge_proof, Impostor)

    home, lib = v.bytes("order-home"), b"/usr/lib"
    order = Order(bytes([4] * 16), 0, 8000, False, scope.kernel, name.encode(), home, lib, cookie)
    without_lib = Order(**{**order.__dict__, "lib": b""})
    for label, made in (("order", order), ("order-without-lib", without_lib)):
        line = v.line(label)
        same(label, made.line(), line)
        same(label, Order.read(line), made)
        for end in range(len(line)):
            same(label, raised(Order.read, line[:end])[0], Malformed)
    same("ready", read_reply(v.line("ready")), record)
    same("busy", read_reply(v.line("busy")), Busy())
    same("failed", read_reply(v.line("failed")), Failed("no room"))
    same("registered", v.line("registered"), REGISTERED)
    drains = v.line("drains")
    same("drains", read_drains(b"pid 4711, locked at 0 seconds since 1970\n" + drains), (4711, 1764415242))
    same("drains", read_drains(drains[1:]), None)
    same("vectors that nothing checks", v.left, {})


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        check(file.read())
    print("the vectors are those of this client")
