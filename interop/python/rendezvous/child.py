"""A server that is being started: its process, the pair and the pipe to it."""

from __future__ import annotations

import errno
import os
import select
import socket
import subprocess
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from io import FileIO
from typing import Optional, Union

from . import wire
from .files import Point

GRACE = 0.2


class StartFailed(Exception):
    """A server could not be started."""


class Child:
    """A process that is not registered. It is killed at the end of `with`, and reaped by a thread."""

    def __init__(self, process: subprocess.Popen, orders: socket.socket, replies: int, ended: int, until: float):
        self.process, self.orders, self.replies, self.ended, self.until = process, orders, replies, ended, until
        self.registered = False

    @staticmethod
    def start(program: list[str], point: Point, order: wire.Order, budget: float) -> Child:
        until = time.monotonic() + budget
        log = point.open_log()
        try:
            while True:
                try:
                    return Child.execute(program, point, order, until, log)
                except OSError as error:
                    # An installer is about to close the program.
                    if error.errno != errno.ETXTBSY or time.monotonic() >= until:
                        raise
                time.sleep(0.01)
        finally:
            os.close(log)

    @staticmethod
    def execute(program: list[str], point: Point, order: wire.Order, until: float, log: int) -> Child:
        left = max(0, int((until - time.monotonic()) * 1000))
        with ExitStack() as failure, ExitStack() as end:
            orders, stdin = socket.socketpair()
            end.callback(stdin.close)
            failure.callback(orders.close)
            replies, stdout = os.pipe()
            end.callback(os.close, stdout)
            failure.callback(os.close, replies)
            ended, end_of_thread = os.pipe()
            failure.callback(os.close, ended)
            ends = failure.enter_context(FileIO(end_of_thread, "w"))
            # The order waits for the program from its beginning.
            orders.sendall(replace(order, budget=left).line())
            environment = {**os.environ, wire.VARIABLE: order.tag.hex()}
            process = subprocess.Popen(
                program, stdin=stdin, stdout=stdout, stderr=log, cwd=point.home, env=environment, close_fds=True
            )
            failure.callback(process.wait)
            failure.callback(process.kill)
            threading.Thread(target=reap, args=(process, ends), daemon=True).start()
            failure.pop_all()
        return Child(process, orders, replies, ended, until)

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_error) -> None:
        if not self.registered:
            self.kill()
        self.orders.close()
        os.close(self.replies)
        os.close(self.ended)

    def kill(self) -> None:
        """Kills the process. The thread that reaps it does so behind the same lock, so its number is still its own."""
        self.process.kill()

    def register(self) -> None:
        self.registered = True
        try:
            self.orders.sendall(wire.REGISTERED)
        except OSError:
            pass  # the dial finds out

    def reply(self, deadline: float) -> Union[wire.Record, wire.Busy]:
        """Awaits the line of the process, its end, and the end of its time."""
        output, end = self.listen(b"", min(self.until, deadline), ends=True)
        if end == "closed":
            end = "exited" if self.poll([self.ended], time.monotonic() + GRACE) else "closed"
        elif end == "exited":
            output, _ = self.listen(output, time.monotonic() + GRACE, ends=False)
        if end == "overdue":
            raise StartFailed("it did not answer in time")
        line, newline, _ = output.partition(b"\n")
        reply = wire.read_reply(line + newline)
        if isinstance(reply, wire.Busy):
            return reply
        if isinstance(reply, wire.Failed):
            raise StartFailed(reply.reason)
        if isinstance(reply, wire.Record) and end != "exited":
            return reply
        if isinstance(reply, wire.Record) or (not output and end == "exited"):
            raise StartFailed("it exited")
        if not output:
            raise StartFailed("it closed its output")
        # What is no reply is not shown: it may contain the cookie.
        raise StartFailed("it answers like another version" if output.startswith(b"rendezvous ") else "it is no server")

    def listen(self, output: bytes, until: float, ends: bool) -> tuple[bytes, str]:
        while b"\n" not in output and len(output) < wire.REPLY_MAX:
            ready = self.poll([self.replies, self.ended] if ends else [self.replies], until)
            if not ready:
                return output, "overdue"
            if self.replies not in ready:
                return output, "exited"
            more = os.read(self.replies, wire.REPLY_MAX - len(output))
            if not more:
                return output, "closed"
            output += more
        return output, "line"

    @staticmethod
    def poll(files: list[int], until: float) -> list[int]:
        poll = select.poll()
        for file in files:
            poll.register(file, select.POLLIN)
        return [file for file, _ in poll.poll(max(0.0, until - time.monotonic()) * 1000)]


def reap(process: subprocess.Popen, ends: FileIO) -> None:
    process.wait()
    ends.close()
