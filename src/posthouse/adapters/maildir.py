"""The embedded mail store: a Maildir for each recipient, ``DOMAIN/NAME`` below one directory.

Source: "Using maildir format" (D. J. Bernstein): written in tmp/, then moved into new/, so that readers see whole mails
and need no locks; lines end in LF. Addresses come from strangers: domain/safe_names.py gives each its own directory.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from posthouse.adapters.durable_files import make_directory, sync, write_whole
from posthouse.domain.safe_names import spelled
from posthouse.ports.mail_stores import MailboxRefused, NotNow, Stored, StoreOutcome

MAX_PART = 200
"""Characters of a directory's name; file systems take 255 bytes."""

log = logging.getLogger("posthouse.mail_store")


class Maildirs:
    """ports.mail_stores.MailStore without a mail server."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def deliver(
        self, message_id: str, mail_from: str, recipients: Sequence[str], content: bytes
    ) -> Mapping[str, StoreOutcome]:
        kept = await asyncio.to_thread(content.replace, b"\r\n", b"\n")
        return {recipient: await asyncio.to_thread(self._put, message_id, recipient, kept) for recipient in recipients}

    def _put(self, message_id: str, recipient: str, content: bytes) -> StoreOutcome:
        home = self.place_of(recipient)
        if home is None:
            return MailboxRefused("the address is too long for a directory")
        # One name for one message: where it comes again it takes its own place. A colon would begin Maildir's flags.
        name = f"{spelled(message_id)}.posthouse"
        try:
            for part in ("tmp", "new", "cur"):
                make_directory(home / part)
            delivered_to = b"Delivered-To: " + recipient.encode("ascii", "replace") + b"\n"
            unfinished = home / "tmp" / name
            # What a crash left there is of no use to anybody.
            unfinished.unlink(missing_ok=True)
            write_whole(home / "new" / name, delivered_to + content, unfinished)
            sync(home / "new")
        except OSError as error:
            log.warning("a mail could not be put into %s: %s", home, error)
            return NotNow(str(error))
        return Stored()

    def place_of(self, recipient: str) -> Path | None:
        """The recipient's Maildir; None for an address that is too long for one."""
        name, _, domain = recipient.lower().rpartition("@")
        parts = (spelled(domain), spelled(name))
        return self._directory.joinpath(*parts) if all(len(part) <= MAX_PART for part in parts) else None

    async def close(self) -> None:
        """Nothing is held open."""
