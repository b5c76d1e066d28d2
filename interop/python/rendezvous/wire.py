"""All bytes of the wire, without I/O: docs/wire.md has each of them."""

from .handshake import *  # noqa: F403
from .record import *  # noqa: F403
from .start import *  # noqa: F403
