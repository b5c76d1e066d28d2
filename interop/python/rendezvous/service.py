"""A service, and the limits of its clients."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Optional

from . import wire


class Older(Enum):
    """What a client does with a server of an older version."""

    REPLACE = 1
    JOIN = 2
    REFUSE = 3


@dataclass(frozen=True)
class Limits:
    """The limits of a client, in seconds."""

    connect: float = 30.0
    start: float = 8.0
    patience: float = 1.5
    check: float = 2.0
    lock: float = 10.0
    drain: float = 10.0

    def divided_by(self, divisor: float) -> Limits:
        return Limits(*(getattr(self, name) / divisor for name in self.__dataclass_fields__))

    def __post_init__(self) -> None:
        if not (
            self.start + self.patience < self.lock
            and self.lock + self.start + self.patience < self.connect
            and self.check <= 2 * self.patience
        ):
            raise ValueError("start + patience < lock, lock + start + patience < connect, check <= 2 * patience")


@dataclass(frozen=True)
class Service:
    """A service, as its client describes it. `program` is the command of its server."""

    home: str
    name: str
    program: Optional[list[str]] = None
    lib: str = ""
    protocol: str = ""
    version: int = 0
    newest: int = wire.U32 - 1
    older: Older = Older.REPLACE
    limits: Limits = field(default_factory=Limits)

    @property
    def tag(self) -> bytes:
        return wire.spell_tag(self.protocol)
