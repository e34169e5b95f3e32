"""The words at the end of tracked links: what a link stands for, sealed, so that answering one reads no database.

A word is bound to one purpose, has exactly one spelling, and shows nothing of the account to whoever receives the mail:
AES-SIV (RFC 5297), which needs no nonce, so that a message prepared twice is the same twice. Whatever is changed in one
makes it nobody's: also where it would lead to the right place. Pure, but for the key that is asked for when needed.
"""

import base64
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import msgspec

from posthouse.domain.scope import Scope

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

# The format is part of the purpose: one that changes gets a new number, and old links their old reader.
_OPEN, _CLICK = b"posthouse: a mail was opened, 1", b"posthouse: a link was followed, 1"
_LEAVE = b"posthouse: a list is left, 1"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{24,16384}\Z")
_MESSAGE_ID = re.compile(
    r"([0-9a-f]{16})-([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})-000000\Z"
)


class TrackedMail(msgspec.Struct, frozen=True, kw_only=True):
    """Whose mail a link or pixel stands in."""

    scope: Scope
    message_id: str
    configuration_set: str

    @property
    def accepted_ms(self) -> int:
        """When it was accepted: its id begins with that (domain/message_ids)."""
        return int(self.message_id[4:16], 16)


class TrackedLink(msgspec.Struct, frozen=True, kw_only=True):
    """What a followed link says."""

    mail: TrackedMail
    number: int
    """Which link of the message, from 1."""
    url: str
    """Where it leads."""
    tags: tuple[tuple[str, str], ...] = ()
    """Of ``ses:tags``."""


class WayOut(msgspec.Struct, frozen=True, kw_only=True):
    """What an unsubscribe link says: whose mail it stands in, and who leaves what by it."""

    mail: TrackedMail
    list_name: str
    topic: str
    address: str


class _Packed(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """As it travels: short, since each byte makes a link longer by a third more."""

    message_id: bytes
    account: str
    region: str
    configuration_set: str
    number: int = 0
    url: str = ""
    tags: tuple[tuple[str, str], ...] = ()


class _PackedWayOut(msgspec.Struct, frozen=True, array_like=True):
    message_id: bytes
    account: str
    region: str
    configuration_set: str
    list_name: str
    topic: str
    address: str


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Packed).decode
_decode_way_out = msgspec.msgpack.Decoder(_PackedWayOut).decode
T = TypeVar("T")


def may_be_tracked(message_id: str) -> bool:
    """True for ids of outgoing mail as `domain.message_ids` writes them."""
    return _MESSAGE_ID.match(message_id) is not None


class TrackingTokens:
    """Writes tokens and reads them back."""

    def __init__(self, key: Callable[[], bytes]) -> None:
        """`key` reads a secret of 32 bytes of the installation, for nothing else; asked for when it is needed."""
        self._key = key
        self._cipher: AESSIV | None = None

    def opened(self, mail: TrackedMail) -> str:
        return self._seal(_OPEN, _Packed(_pack(mail.message_id), *mail.scope, mail.configuration_set))

    def clicked(self, link: TrackedLink) -> str:
        mail = link.mail
        packed = _Packed(_pack(mail.message_id), *mail.scope, mail.configuration_set, link.number, link.url, link.tags)
        return self._seal(_CLICK, packed)

    def read_opened(self, token: str) -> TrackedMail | None:
        """None for every text but exactly what `opened` wrote."""
        packed = self._unseal(_OPEN, token, _decode)
        return _mail(packed) if packed is not None else None

    def read_clicked(self, token: str) -> TrackedLink | None:
        """None for every text but exactly what `clicked` wrote."""
        packed = self._unseal(_CLICK, token, _decode)
        if packed is None:
            return None
        return TrackedLink(mail=_mail(packed), number=packed.number, url=packed.url, tags=packed.tags)

    def leaving(self, way_out: WayOut) -> str:
        mail, out = way_out.mail, way_out
        packed = _PackedWayOut(
            _pack(mail.message_id), *mail.scope, mail.configuration_set, out.list_name, out.topic, out.address
        )
        return self._seal(_LEAVE, packed)

    def read_leaving(self, token: str) -> WayOut | None:
        """None for every text but exactly what `leaving` wrote."""
        packed = self._unseal(_LEAVE, token, _decode_way_out)
        if packed is None:
            return None
        return WayOut(mail=_mail(packed), list_name=packed.list_name, topic=packed.topic, address=packed.address)

    def _seal(self, purpose: bytes, packed: _Packed | _PackedWayOut) -> str:
        return _written(self._siv().encrypt(_encode(packed), [purpose]))

    def _unseal(self, purpose: bytes, token: str, decode: Callable[[bytes], T]) -> T | None:
        from cryptography.exceptions import InvalidTag

        # 4n+1 characters are the writing of nothing; the decoder would raise.
        if not _TOKEN.match(token) or len(token) % 4 == 1:
            return None
        sealed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        # Readers of base64 forgive spare bits at the end.
        if _written(sealed) != token:
            return None
        try:
            return decode(self._siv().decrypt(sealed, [purpose]))
        except InvalidTag:
            return None

    def _siv(self) -> "AESSIV":
        if self._cipher is None:
            from cryptography.hazmat.primitives.ciphers.aead import AESSIV

            self._cipher = AESSIV(self._key())
        return self._cipher


def _written(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")


def _pack(message_id: str) -> bytes:
    """24 bytes for 60 characters. Raises ValueError for what is no id of an outgoing message."""
    if not may_be_tracked(message_id):
        raise ValueError(f"not the id of an outgoing message: {message_id!r}")
    return bytes.fromhex(message_id[: -len("-000000")].replace("-", ""))


def _mail(packed: _Packed | _PackedWayOut) -> TrackedMail:
    h = packed.message_id.hex()
    message_id = f"{h[:16]}-{h[16:24]}-{h[24:28]}-{h[28:32]}-{h[32:36]}-{h[36:]}-000000"
    return TrackedMail(
        scope=Scope(packed.account, packed.region),
        message_id=message_id,
        configuration_set=packed.configuration_set,
    )
