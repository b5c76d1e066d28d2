"""A client of rendezvous-ipc in plain Python, from docs/wire.md alone. See README.md beside this package."""

from .child import StartFailed
from .client import Deadline, Joined, connect, join, retire, status
from .dial import Ended, Suspicion
from .files import Untrusted
from .service import Limits, Older, Service

__all__ = [
    "Deadline",
    "Ended",
    "Joined",
    "Limits",
    "Older",
    "Service",
    "StartFailed",
    "Suspicion",
    "Untrusted",
    "connect",
    "join",
    "retire",
    "status",
]
