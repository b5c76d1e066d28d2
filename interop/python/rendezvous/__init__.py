"""A client of rendezvous-ipc in plain Python, from docs/wire.md alone. See README.md beside this package."""

from .child import StartFailed
from .client import Deadline, Joined, Limits, Older, Service, connect, join, retire, status
from .dial import Ended, Suspicion
from .files import Untrusted

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
