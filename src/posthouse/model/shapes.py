"""What the generated model is made of: structures, their members as the wire knows them, and operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import msgspec

if TYPE_CHECKING:
    from posthouse.model.errors import ServiceError

Kind = Literal[
    "string", "blob", "boolean", "integer", "long", "double", "timestamp", "structure", "list", "map"
]  # fmt: skip


class Limits(NamedTuple):
    """What the service model asks of a value beyond its type."""

    minimum: int | None = None
    """The least length of a string, the least value of a number."""
    maximum: int | None = None
    pattern: str | None = None
    """A regular expression that the whole string must match; ``\\w`` means ASCII."""
    enum: tuple[str, ...] | None = None
    """The values allowed, in the order in which SES prints them."""


class Member(NamedTuple):
    """One member of a structure, and where it stands on the wire.

    A list or map holds structures of ``shape``, or strings where ``shape`` is None; SES has no other kind. On a list of
    strings the limits are those of each element.
    """

    name: str
    """On the wire: ``SNSAction``."""
    attribute: str
    """In Python: ``sns_action``. A timestamp ends in ``_ms`` and is an int, milliseconds since 1970 (UTC)."""
    kind: Kind
    required: bool = False
    shape: type[Structure] | None = None
    limits: Limits | None = None


class Structure(msgspec.Struct, frozen=True, kw_only=True):
    """A request, a response or a part of one. None means "not given"; no default of the service is filled in here."""

    MEMBERS: ClassVar[tuple[Member, ...]] = ()


class Operation(NamedTuple):
    """One of the 71 operations."""

    name: str
    request: type[Structure]
    response: type[Structure]
    result_wrapper: str | None
    """The element that holds the response; None for the eight operations that answer with their metadata only."""
    errors: tuple[type[ServiceError], ...]
    """What the service model declares beside the common errors."""
