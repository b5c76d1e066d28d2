"""A client: joins the server of a point, starts one if there is none, or asks it to retire.

It follows the steps of docs/wire.md, *A client*, in the words of that page.
"""

from __future__ import annotations

import os
import random
import socket
import sys
import time
from contextlib import suppress
from enum import Enum
from typing import Callable, NamedTuple, Optional, Union

from . import wire
from .child import Child, StartFailed
from .dial import Ended, Suspicion, dial
from .files import Lifetime, Lock, Point, Tried, here
from .service import Older, Service
from .table import ABSENT, BACK_OFF, DIAL_AGAIN, ERROR, HELD, START, TABLE, WAIT, Row


class Deadline(Exception):
    """The time of the call is over."""


class Goal(Enum):
    """What a call is for."""

    CONNECT = wire.CONNECT
    JOIN = 0
    RETIRE = wire.RETIRE


class Joined(NamedTuple):
    """A connection that the server has counted, and whether this call started the server."""

    stream: socket.socket
    welcome: wire.Welcome
    started: bool


class After(Enum):
    """What follows when the point lock is released."""

    PAUSE = 1
    PAUSE_AND_DIAL_AGAIN = 2
    WAIT = 3
    WAIT_AND_DIAL_AGAIN = 4
    SUSPICION = 5


def connect(service: Service, tell: Callable[[str], None] = lambda _: None) -> Joined:
    """Connects to the server, starting one if there is none. `tell` is told of each suspicion."""
    joined = Attempt(service, Goal.CONNECT, tell).run()
    assert joined is not None
    return joined


def join(service: Service, tell: Callable[[str], None] = lambda _: None) -> Optional[Joined]:
    """Connects to the server if there is one, and changes nothing on disk."""
    return Attempt(service, Goal.JOIN, tell).run()


def retire(service: Service, tell: Callable[[str], None] = lambda _: None) -> Optional[int]:
    """Asks the server to retire, waits until it is about to exit, and returns its PID; `None`: there is none."""
    if not Point(service.home, service.name).is_there():
        return None
    asked = Attempt(service, Goal.RETIRE, tell).run()
    if asked is None:
        return None
    limits = service.limits
    with asked.stream as stream:
        stream.settimeout(limits.lock + limits.drain + 2 * limits.patience)
        try:
            with suppress(ConnectionResetError):
                while stream.recv(64):
                    pass
        except socket.timeout:
            raise Deadline("the server was asked to retire, and is still there") from None
    return asked.welcome.pid


def status(service: Service) -> wire.Welcome:
    """Dials the record that stands in the point, and returns what its server says about itself."""
    point = Point(service.home, service.name)
    record = point.read()
    if not isinstance(record, wire.Record):
        raise Ended(f"no record: {record}")
    stream, welcome = dial(point, record, wire.STATUS, service.tag, time.monotonic() + service.limits.patience)
    stream.close()
    return welcome


class Attempt:
    """One call, from its first step to its last."""

    def __init__(self, service: Service, goal: Goal, tell: Callable[[str], None]):
        self.service, self.goal, self.tell = service, goal, tell
        self.point, self.here = Point(service.home, service.name), here()
        self.depth = depth_below(self.point)
        self.deadline = time.monotonic() + service.limits.connect
        self.suspect: Optional[wire.Record] = None
        self.replaced: Optional[wire.Record] = None
        self.waited = False
        self.free_dials = self.starts = self.pauses = 0
        self.why = "the point lock is held"

    def run(self) -> Optional[Joined]:
        again = False
        while True:
            found = self.point.read()
            outcome: Union[Joined, After, None] = None
            if isinstance(found, wire.Record) and again and found == self.suspect:
                outcome = self.dial(found)
            elif isinstance(found, wire.Record) and self.is_fresh(found) and self.free_dials < 2:
                self.free_dials += 1
                outcome = self.dial(found)
            if outcome is None or outcome is After.SUSPICION:
                tried = self.point.try_lock(creates=self.goal is not Goal.JOIN)
                if tried is Tried.ABSENT and self.goal is Goal.JOIN:
                    return None
                outcome = After.PAUSE
                if isinstance(tried, Lock):
                    with tried as lock:
                        outcome = self.under(lock)
            if outcome is None or isinstance(outcome, Joined):
                return outcome
            again = outcome in (After.PAUSE_AND_DIAL_AGAIN, After.WAIT_AND_DIAL_AGAIN)
            if outcome in (After.WAIT, After.WAIT_AND_DIAL_AGAIN):
                self.sleep(self.service.limits.check + self.service.limits.patience)
                self.waited = True
            else:
                self.pause()

    def under(self, lock: Lock) -> Union[Joined, After, None]:
        """Decides under the point lock. `None`: there is no server, and none is wanted."""
        found = lock.read()
        record = found if isinstance(found, wire.Record) else None
        row, started, dials = self.row(found), False, False
        while True:
            if record is not None and (dials or row is Row.FRESH):
                outcome = self.dial(record, started)
                if outcome is not After.SUSPICION:
                    return outcome
                row = self.row(record)
            lifetime = self.point.lifetime(lock)
            verdict = TABLE[row][list(Lifetime).index(lifetime)]
            if verdict is WAIT and self.waited:
                verdict = START
            self.waited = self.waited and lifetime is ABSENT
            if verdict is BACK_OFF:
                self.why = "a server holds its lifetime lock"
                return After.PAUSE
            if verdict is DIAL_AGAIN:
                return After.PAUSE_AND_DIAL_AGAIN
            if verdict is WAIT:
                return After.WAIT_AND_DIAL_AGAIN if row is Row.SUSPECTED else After.WAIT
            if verdict is ERROR:
                raise Ended(f"{row.name.lower()}, and the lifetime lock is {lifetime.name.lower()}")
            if verdict is START:
                if self.goal is not Goal.CONNECT:
                    return None
                record = self.start(lock)
                if record is None:
                    return After.PAUSE
                started = True
            dials = True

    # The record, as this client sees it

    def reach(self, record: wire.Record) -> str:
        """Returns *direct* or *apart*. This client does not look whether the home is local, so nothing is doubtful."""
        if isinstance(record.address, wire.Unix):
            return "direct"
        mine, theirs = self.here, record.scope
        known = mine.namespace != 0 and mine.boot != bytes(16)
        return "direct" if known and (mine.boot, mine.namespace) == (theirs.boot, theirs.namespace) else "apart"

    def is_foreign(self, record: wire.Record) -> bool:
        mine, theirs = self.here, record.scope
        machines = (mine.machine, theirs.machine)
        return mine.boot != theirs.boot and None not in machines and mine.machine != theirs.machine

    def is_fresh(self, record: wire.Record) -> bool:
        return self.reach(record) == "direct" and record not in (self.suspect, self.replaced)

    def row(self, found: wire.Found) -> Row:
        if isinstance(found, wire.Nothing):
            return Row.NOTHING
        if isinstance(found, wire.Newer):
            return Row.NEWER
        if isinstance(found, wire.OtherDialect):
            return Row.OTHER_DIALECT
        if found == self.replaced:
            return Row.REPLACED
        if self.is_fresh(found):
            return Row.FRESH
        if self.is_foreign(found):
            return Row.FOREIGN
        return Row.SUSPECTED if found == self.suspect else Row.APART

    # A dial

    def dial(self, record: wire.Record, started: bool = False) -> Union[Joined, After]:
        service, goal = self.service, self.goal
        is_older = record.version < service.version
        asks = goal is not Goal.RETIRE
        replaces = (
            goal is Goal.CONNECT
            and is_older
            and service.older is Older.REPLACE
            and (self.replaced is None or record.version > self.replaced.version)
        )
        intent = wire.RETIRE if replaces or not asks else wire.CONNECT
        states = service.version if asks else 0
        refuses = None
        if asks and record.version > service.newest:
            refuses = f"the server offers version {record.version}, which is too new"
        elif asks and is_older and service.older is Older.REFUSE:
            refuses = f"the server offers version {record.version}, which is too old"
        until = min(time.monotonic() + service.limits.patience, self.deadline)
        try:
            stream, welcome = dial(self.point, record, intent, service.tag, until, states, refuses)
        except wire.Full as full:
            self.why = f"{record.address} (pid {record.pid}): no room beside {full} clients"
            self.tell(self.why)
            self.suspect = record
            return After.PAUSE_AND_DIAL_AGAIN
        except Suspicion as suspicion:
            self.why = f"{record.address} (pid {record.pid}): {suspicion}"
            self.tell(self.why)
            self.check_deadline()
            self.waited = self.waited and self.suspect == record
            self.suspect = record
            return After.SUSPICION
        if replaces:
            stream.close()
            self.replaced = record
            return After.PAUSE
        return Joined(stream, welcome, started)

    # A start

    def start(self, lock: Lock) -> Optional[wire.Record]:
        """Starts and registers a server, and returns its record; `None`: another process is alive."""
        service = self.service
        if service.program is None:
            raise Ended("there is no server, and no program to start one")
        if self.starts == 3:
            raise StartFailed("three servers were started, and none is there")
        if self.deadline - time.monotonic() < service.limits.start:
            raise Deadline("too little time is left to start a server")
        lock.clear()
        order = wire.Order(
            tag=os.urandom(16),
            depth=self.depth,
            budget=0,
            ephemeral=False,
            kernel=self.here.kernel,
            name=os.fsencode(service.name),
            home=os.fsencode(self.point.home),
            lib=os.fsencode(service.lib),
            cookie=os.urandom(32),
        )
        with Child.start(service.program, self.point, order, service.limits.start) as child:
            self.starts += 1
            reply = child.reply(self.deadline)
            if isinstance(reply, wire.Busy):
                self.starts -= 1
                self.why = "another server is alive"
                return None
            self.check_deadline()
            self.check_started(reply, order)
            if self.point.lifetime(lock) is not HELD:
                raise StartFailed("the program does not hold the lifetime lock of this point")
            try:
                lock.write(reply)
                child.register()
            except BaseException:
                if not child.registered:
                    child.kill()
                    lock.clear()
                raise
        return reply

    def check_started(self, record: wire.Record, order: wire.Order) -> None:
        if record.cookie != order.cookie or self.reach(record) == "apart":
            raise StartFailed("the program is not the server that was ordered")
        if record.version > self.service.newest:
            raise Ended(f"the started server offers version {record.version}, which is too new")
        if record.version < self.service.version:
            raise StartFailed(f"it offers version {record.version} in place of {self.service.version}")

    # Time

    def check_deadline(self) -> None:
        if time.monotonic() >= self.deadline:
            raise Deadline(self.why)

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, min(seconds, self.deadline - time.monotonic())))
        self.check_deadline()

    def pause(self) -> None:
        longest = min(2 ** min(self.pauses, 6), 50) / 1000
        self.pauses += 1
        self.sleep(longest * random.uniform(0.5, 1.0))


def depth_below(point: Point) -> int:
    """Returns the depth of an order by this process, which may itself have been started by one."""
    try:
        file = os.dup(sys.__stdin__.fileno())
    except (OSError, AttributeError, ValueError):
        return 0
    try:
        stdin = socket.socket(fileno=file)
    except OSError:
        os.close(file)
        return 0
    with stdin:
        try:
            waits = stdin.recv(wire.ORDER_MAX, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except OSError:
            return 0
    if not waits.startswith(wire.ORDER):
        return 0
    try:
        order = wire.Order.read(waits[: waits.find(b"\n") + 1])
    except (wire.Malformed, UnicodeDecodeError):
        raise Ended("an order of another version waits at standard input") from None
    if order.depth >= wire.DEPTH_MAX or os.path.join(order.home, order.name) == os.fsencode(point.path):
        raise Ended("this process was started as a server, and connects in place of serving")
    return order.depth + 1
