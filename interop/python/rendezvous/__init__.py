"""A client of rendezvous-ipc in plain Python, from docs/wire.md alone. See README.md beside this package."""

from .child import StartFailed
from .client import Deadline, Ended, Joined, Limits, Older, Service, Suspicion, connect, join, retire, status
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
