"""The files of a service: which are used, and their locks."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
from enum import Enum
from typing import Optional, Union

from . import wire

FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
LOG_MAX = 1024 * 1024


class Untrusted(Exception):
    """A file or a directory that others could use."""


class Tried(Enum):
    """Why a lock is not held."""

    BUSY = 1
    ELSEWHERE = 2
    ABSENT = 3


class Lifetime(Enum):
    """What the lifetime lock says."""

    FREE = 1
    HELD = 2
    ABSENT = 3
    CANNOT_TELL = 4


def open_file(path: str, flags: int) -> int:
    """Opens a file of this user alone."""
    if flags & os.O_CREAT:
        check_directory(os.path.dirname(path))
    file = os.open(path, flags | FLAGS, 0o600)
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise Untrusted(f"{path} is no regular file")
        if found.st_uid != os.geteuid() or found.st_mode & 0o077 or found.st_nlink > 1:
            raise Untrusted(f"{path} is another user's, may be used by others, or has a second name")
        if flags & os.O_CREAT and found.st_mode & 0o600 != 0o600:
            os.fchmod(file, 0o600)
        return file
    except BaseException:
        os.close(file)
        raise


def is_shared(found: os.stat_result) -> bool:
    return found.st_mode & 0o1002 == 0o1002


def is_mine_or_roots(found: os.stat_result) -> bool:
    return found.st_uid in (0, os.geteuid())


def check_directory(directory: str) -> None:
    try:
        found = os.stat(directory)
    except OSError:
        return  # to open the file says why
    if not is_mine_or_roots(found) or (found.st_mode & 0o022 and not is_shared(found)):
        raise Untrusted(f"{directory} is another user's, or may be written by others")


def create_home(home: str) -> None:
    missing = []
    above = home
    while not os.path.exists(above):
        missing.append(above)
        above = os.path.dirname(above)
    found = os.stat(above)
    if not is_shared(found) and not is_mine_or_roots(found):
        raise Untrusted(f"{above} is another user's")
    for directory in reversed(missing):
        try:
            os.mkdir(directory, 0o700)
        except FileExistsError:
            continue
        if os.stat(directory).st_mode & 0o700 != 0o700:
            os.chmod(directory, 0o700)


class Lock:
    """A locked file. It is unlocked, and closed, at the end of `with`."""

    def __init__(self, path: str, file: int):
        self.path, self.file = path, file

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *_error) -> None:
        fcntl.flock(self.file, fcntl.LOCK_UN)
        os.close(self.file)

    def read(self) -> wire.Found:
        return wire.find(os.pread(self.file, wire.RECORD_MAX + 1, 0))

    def clear(self) -> None:
        os.ftruncate(self.file, 0)

    def write(self, record: wire.Record) -> None:
        line = record.line()
        try:
            if os.pwrite(self.file, line, 0) != len(line):
                raise OSError(errno.ENOSPC, "the record did not fit", self.path)
        except BaseException:
            self.clear()
            raise


def try_lock(path: str, flags: int, how: int) -> Union[Lock, Tried]:
    """Tries a lock once."""
    try:
        file = open_file(path, flags)
    except FileNotFoundError:
        if flags & os.O_CREAT:
            raise
        return Tried.ABSENT
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except (BlockingIOError, InterruptedError):
        os.close(file)
        return Tried.BUSY
    except BaseException:
        os.close(file)
        raise
    lock = Lock(path, file)
    try:
        there, here = os.lstat(path), os.fstat(file)
        if (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino):
            return lock
    except FileNotFoundError:
        pass
    except BaseException:
        lock.__exit__()
        raise
    lock.__exit__()
    return Tried.ELSEWHERE


class Point:
    """The files of one service."""

    def __init__(self, home: str, name: str):
        raw = os.fsencode(name)
        reserved = (b".life", b".log", b".log.1", b".sock")
        if not 1 <= len(raw) <= 200 or raw.startswith(b".") or set(raw) & set(b"/\\\0") or raw.endswith(reserved):
            raise ValueError(f"no name of a service: {name!r}")
        self.home, self.name = os.path.abspath(home), name
        self.path = os.path.join(self.home, name)
        self.life, self.log = self.path + ".life", self.path + ".log"

    def is_there(self) -> bool:
        """Returns whether there is a point or a life file."""
        return os.path.lexists(self.path) or os.path.lexists(self.life)

    def read(self) -> wire.Found:
        """Reads the point without its lock."""
        try:
            file = open_file(self.path, os.O_RDONLY)
        except FileNotFoundError:
            return wire.Nothing("absent")
        try:
            return wire.find(os.read(file, wire.RECORD_MAX + 1))
        finally:
            os.close(file)

    def try_lock(self, creates: bool) -> Union[Lock, Tried]:
        """Tries the point lock; where nothing is created, shared if the point cannot be written."""
        if not creates:
            try:
                return try_lock(self.path, os.O_RDWR, fcntl.LOCK_EX)
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                    raise
                return try_lock(self.path, os.O_RDONLY, fcntl.LOCK_SH)
        try:
            return try_lock(self.path, os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX)
        except FileNotFoundError:
            create_home(self.home)
            return try_lock(self.path, os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX)

    def lifetime(self, lock: Lock) -> Lifetime:
        """Asks the lifetime lock. The caller holds the point lock."""
        assert lock.path == self.path
        try:
            tried = try_lock(self.life, os.O_RDONLY, fcntl.LOCK_SH)
        except (OSError, Untrusted):
            return Lifetime.CANNOT_TELL
        if isinstance(tried, Lock):
            tried.__exit__()
            return Lifetime.FREE
        return Lifetime.ABSENT if tried is Tried.ABSENT else Lifetime.HELD

    def identity(self) -> bytes:
        """Returns the identity of the point, as the home is now."""
        try:
            file_system = os.statvfs(self.home).f_fsid
        except OSError:
            file_system = 0
        try:
            inode = os.stat(self.home).st_ino
        except OSError:
            inode = 0
        return wire.identity(file_system, inode, os.fsencode(self.name))

    def socket(self, address: wire.Unix) -> str:
        return f"{self.path}.{address.id.hex()}.sock"

    def open_log(self) -> int:
        """Opens the log of a server that is about to be started."""
        try:
            file = open_file(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            return os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)
        if os.fstat(file).st_size > LOG_MAX:
            self.keep_older()
            os.ftruncate(file, 0)
        return file

    def keep_older(self) -> None:
        try:
            older = open_file(self.log + ".1", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        except (OSError, Untrusted):
            return
        with os.fdopen(older, "ab") as kept, open(self.log, "rb") as log:
            log.seek(-LOG_MAX, os.SEEK_END)
            kept.truncate(0)
            kept.write(log.read(LOG_MAX))


def here() -> wire.Scope:
    """Returns the scope of this process."""
    boot = read_id("/proc/sys/kernel/random/boot_id")
    machine = read_id("/etc/machine-id") or read_id("/var/lib/dbus/machine-id")
    return wire.Scope(boot or bytes(16), namespace(), machine)


def namespace() -> int:
    if sys.platform != "linux":
        return 1
    try:
        link = os.readlink("/proc/thread-self/ns/net")
        return wire.number(link[len("net:[") : -1], wire.U64)
    except (FileNotFoundError, PermissionError, wire.Malformed):
        return 0


def read_id(path: str) -> Optional[bytes]:
    try:
        with open(path, "rb") as file:
            content = file.read()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    return wire.digest_of_id(content) if content.strip() else None
