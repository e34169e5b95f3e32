"""Wake-ups between the processes of one machine: Unix datagram sockets in a directory of their own.

Each process that subscribes to a topic has a socket ``TOPIC.PID.NUMBER`` there; notifying is one datagram to each.
Nothing is lost that matters: a full socket means its owner has not yet woken from the last tap, and one that nobody
reads any more is removed by the first who finds out.
"""

import asyncio
import contextlib
import errno
import hashlib
import os
import socket
import stat
import tempfile
from collections import defaultdict
from pathlib import Path

from posthouse.ports.wakeups import Topic

TAP = b"\0"
READ_AT_ONCE = 64
QUIET_S = 0.005
"""After a tap its ear is closed for so long: at full load taps come by the thousand, each would wake a process that is
at work already, and engines rest about so long between two looks anyway. What comes meanwhile is heard then."""


def runtime_directory(data_dir: Path) -> Path:
    """Where the sockets of an installation are: short, for a socket's path has at most 107 bytes (unix(7))."""
    name = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"posthouse-{os.getuid()}-{name}"


class LocalWakeups:
    """Made inside the loop that is going to use it, after the process was forked."""

    def __init__(self, directory: Path) -> None:
        """Raises OSError where the directory cannot be made, PermissionError where it belongs to somebody else."""
        self._directory = directory
        self._subscribers: defaultdict[Topic, list[asyncio.Event]] = defaultdict(list)
        self._ears: dict[Topic, socket.socket] = {}
        self._loop = asyncio.get_running_loop()
        self._mouth = _datagram_socket()
        self._peers: dict[Topic, list[str]] = {}
        self._peers_as_of_ns = -1
        self._to_send: set[Topic] = set()
        _make_private(directory)

    def notify(self, topic: Topic) -> None:
        # However many commits this turn of the loop brings, each topic is told once.
        if not self._to_send:
            self._loop.call_soon(self._flush)
        self._to_send.add(topic)

    def subscribe(self, topic: Topic) -> asyncio.Event:
        if topic not in self._ears:
            self._ears[topic] = self._listen(topic)
        event = asyncio.Event()
        self._subscribers[topic].append(event)
        return event

    def close(self) -> None:
        # A verb of the command line ends in the turn of the loop in which it committed.
        self._flush()
        for ear in self._ears.values():
            self._loop.remove_reader(ear)
            with contextlib.suppress(OSError):
                os.unlink(ear.getsockname())
            ear.close()
        self._ears.clear()
        self._mouth.close()
        with contextlib.suppress(OSError):  # others may still listen there
            self._directory.rmdir()

    def _listen(self, topic: Topic) -> socket.socket:
        ear = _datagram_socket()
        path = self._directory / f"{topic.value}.{os.getpid()}.{ear.fileno()}"
        # Left by a dead process that had our number.
        path.unlink(missing_ok=True)
        try:
            ear.bind(str(path))
        except FileNotFoundError:
            # The last of the others left just now and took the directory along.
            _make_private(self._directory)
            ear.bind(str(path))
        self._loop.add_reader(ear, self._heard, topic, ear)
        return ear

    def _heard(self, topic: Topic, ear: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(READ_AT_ONCE):
                ear.recv(len(TAP))
        self._wake(topic)
        self._loop.remove_reader(ear)
        self._loop.call_later(QUIET_S, self._listen_again, topic, ear)

    def _listen_again(self, topic: Topic, ear: socket.socket) -> None:
        if self._ears.get(topic) is ear:
            self._loop.add_reader(ear, self._heard, topic, ear)

    def _wake(self, topic: Topic) -> None:
        for event in self._subscribers[topic]:
            event.set()

    def _flush(self) -> None:
        topics, self._to_send = self._to_send, set()
        with contextlib.suppress(OSError):
            self._look_around()
        for topic in topics:
            self._wake(topic)
            for path in self._peers.get(topic, ()):
                self._tap(path)

    def _look_around(self) -> None:
        """Lists the sockets anew where one came or went."""
        as_of_ns = os.stat(self._directory).st_mtime_ns
        if as_of_ns == self._peers_as_of_ns:
            return
        self._peers = {}
        mine = {ear.getsockname() for ear in self._ears.values()}
        for name in os.listdir(self._directory):
            path = str(self._directory / name)
            with contextlib.suppress(ValueError):
                topic = Topic(name.partition(".")[0])
                if path not in mine:
                    self._peers.setdefault(topic, []).append(path)
        self._peers_as_of_ns = as_of_ns

    def _tap(self, path: str) -> None:
        try:
            self._mouth.sendto(TAP, path)
        except ConnectionRefusedError:
            # Nobody has it open: its process died.
            with contextlib.suppress(OSError):
                os.unlink(path)
        except OSError as error:
            # Full (its owner is about to wake anyway), or gone since we looked.
            if error.errno not in (errno.EAGAIN, errno.ENOBUFS, errno.ENOENT):
                self._peers_as_of_ns = -1


def _datagram_socket() -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.setblocking(False)
    return made


def _make_private(directory: Path) -> None:
    """Makes the directory; one that somebody else laid out in a shared place is refused."""
    directory.mkdir(mode=0o700, exist_ok=True)
    found = os.lstat(directory)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"{directory} is not a private directory of this user")
