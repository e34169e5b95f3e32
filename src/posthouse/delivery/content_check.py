"""What must not leave: malware in a message, which SES accepts and then does not send ("Bad content").

The EICAR test file is found without a scanner, so that a Reject can be seen anywhere; a scanner, where there is one,
sees mail that carries files. While it is down such mail waits: nothing leaves unscanned that was to be scanned.
"""

import asyncio
from concurrent.futures import Executor

from posthouse.domain.messages import ContentKind
from posthouse.domain.outcomes import Notice
from posthouse.mail.headers import Message
from posthouse.mail.malware import carries_files, holds_test_file, may_hold_test_file
from posthouse.ports.mailstore import ClaimedMessage
from posthouse.ports.scanners import Clean, Infected, ScanFailed, VirusScanner

AT_ONCE = 64 * 1024
"""Bytes looked at in passing; more is looked at in a thread."""
TEST_FILE_FOUND = "Bad content: the EICAR anti-virus test file"


class BadContent(Exception):
    """A message that nobody gets; the text says what is in it."""


class NotScanned(Exception):
    """A message that is tried again later; `reply` says why."""

    def __init__(self, reply: Notice) -> None:
        super().__init__(reply.text)
        self.reply = reply


class ContentCheck:
    def __init__(self, virus: VirusScanner | None, threads: Executor) -> None:
        """`virus`: None: no scanner sees outgoing mail. `threads` do what takes a while."""
        self._virus, self._threads = virus, threads

    async def scan(self, claimed: ClaimedMessage) -> None:
        """Raises BadContent, or NotScanned where the scanner cannot tell. Only raw mail can carry files."""
        if self._virus is None or claimed.facts.content_kind is not ContentKind.RAW:
            return
        loop = asyncio.get_running_loop()
        if not await loop.run_in_executor(self._threads, carries_files, claimed.content):
            return
        match await self._virus.scan(claimed.content):
            case Clean():
                return
            case Infected(name):
                raise BadContent(f"Bad content: {name}")
            case ScanFailed(reason):
                raise NotScanned(Notice(451, "4.3.0", f"The virus scan failed, it will be tried again: {reason}"))

    async def is_above_suspicion(self, content: bytes) -> bool:
        """False where the test file may be in content as it is kept: the message then has to be made to know."""
        if len(content) <= AT_ONCE:
            return not may_hold_test_file(content)
        loop = asyncio.get_running_loop()
        return not await loop.run_in_executor(self._threads, may_hold_test_file, content)


def refuse_test_file(message: Message) -> None:
    """Raises BadContent. Costs a few microseconds for most mail."""
    if may_hold_test_file(message.body) and holds_test_file(message.to_bytes()):
        raise BadContent(TEST_FILE_FOUND)
