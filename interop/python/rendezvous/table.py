"""The table of record and lifetime lock: what a client does that has the point lock."""

from __future__ import annotations

from enum import Enum

from .files import Lifetime


class Row(Enum):
    """The rows of the table of record and lifetime lock."""

    NOTHING = 1
    NEWER = 2
    OTHER_DIALECT = 3
    FOREIGN = 4
    APART = 5
    DOUBTFUL = 6
    REPLACED = 7
    FRESH = 8
    SUSPECTED = 9


class Verdict(Enum):
    """What the table says."""

    START = 1
    BACK_OFF = 2
    DIAL = 3
    DIAL_AGAIN = 4
    WAIT = 5
    ERROR = 6


FREE, HELD, ABSENT, CANNOT_TELL = Lifetime
START, BACK_OFF, DIAL, DIAL_AGAIN, WAIT, ERROR = Verdict
#: By record: what *free*, *held*, *absent* and *cannot tell* lead to.
TABLE = {
    Row.NOTHING: (START, BACK_OFF, START, ERROR),
    Row.NEWER: (START, ERROR, WAIT, ERROR),
    Row.OTHER_DIALECT: (ERROR, ERROR, ERROR, ERROR),
    Row.FOREIGN: (ERROR, BACK_OFF, ERROR, ERROR),
    Row.APART: (START, BACK_OFF, WAIT, ERROR),
    Row.DOUBTFUL: (START, DIAL, START, ERROR),
    Row.REPLACED: (START, BACK_OFF, WAIT, ERROR),
    Row.FRESH: (DIAL, DIAL, DIAL, DIAL),
    Row.SUSPECTED: (START, DIAL_AGAIN, WAIT, ERROR),
}
