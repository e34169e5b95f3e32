"""DMARC: whether the author's domain stands behind a mail, and what it asks for where it does not.

Follows RFC 9989, which replaced RFC 7489 and RFC 9091 in 2026: the organizational domain is found by walking up the DNS
tree (section 4.10), not by a list of public suffixes; ``pct`` is gone, and ``t``, ``np`` and ``psd`` have come. Section
numbers below are those of its last draft, draft-ietf-dmarc-dmarcbis-41.

`evaluate` is a generator: it yields what it wants to know from the DNS and is sent the answers, so that it can be
tested without any. It asks at most eight names for each domain it walks up from, and walks up only from domains that
could be aligned.
"""

import re
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, NamedTuple

from posthouse.mail import mailboxes
from posthouse.mail.headers import Field

MAX_LABELS = 8
"""A walk asks for no more names than this, however long a domain is (section 4.10)."""
MAX_RECORD = 4096
MAX_FROM = 64 * 1024
_LABEL = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_DOMAIN = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\Z")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+\Z")


class Policy(StrEnum):
    """What a domain owner asks for (section 4.7, ``p``)."""

    NONE = "none"
    QUARANTINE = "quarantine"
    REJECT = "reject"


_ONE_LESS = {Policy.REJECT: Policy.QUARANTINE, Policy.QUARANTINE: Policy.NONE, Policy.NONE: Policy.NONE}


@dataclass(frozen=True, slots=True)
class Record:
    """A policy record."""

    p: Policy = Policy.NONE
    sp: Policy | None = None
    np: Policy | None = None
    strict_dkim: bool = False
    strict_spf: bool = False
    psd: Literal["y", "n", "u"] = "u"
    testing: bool = False
    applies: bool = True
    """False: it counts when the tree is walked, but asks for nothing (section 4.10.1)."""


# -- records


def read_records(texts: Sequence[str]) -> Record | None:
    """The policy record among the TXT records of a name; none where there are several (section 4.10, step 2)."""
    found = [record for text in texts if (record := read_record(text)) is not None]
    return found[0] if len(found) == 1 else None


def read_record(text: str) -> Record | None:
    """None: no policy record. What is wrong in one is left out (section 4.8)."""
    first, _, rest = text[:MAX_RECORD].partition(";")
    name, _, version = first.partition("=")
    if name.strip(" \t") not in ("v", "V") or version.strip(" \t") != "DMARC1":
        return None
    tags: dict[str, str] = {}
    for piece in rest.split(";"):
        name, equals, value = piece.partition("=")
        if equals:
            tags.setdefault(name.strip(" \t").lower(), value.strip(" \t"))
    asked = {name: _policy(tags[name]) for name in ("p", "sp", "np") if name in tags}
    sound = "p" in asked and None not in asked.values()
    psd = tags.get("psd", "").lower()
    return Record(
        p=(asked.get("p") if sound else None) or Policy.NONE,
        sp=asked.get("sp") if sound else None,
        np=asked.get("np") if sound else None,
        strict_dkim=tags.get("adkim", "").lower() == "s",
        strict_spf=tags.get("aspf", "").lower() == "s",
        psd="y" if psd == "y" else "n" if psd == "n" else "u",
        testing=tags.get("t", "").lower() == "y",
        # Somebody who wants reports is taken to mean p=none; others are not taken to mean anything.
        applies=sound or _wants_reports(tags.get("rua", "")),
    )


def _policy(value: str) -> Policy | None:
    try:
        return Policy(value.lower())
    except ValueError:
        return None


def _wants_reports(uris: str) -> bool:
    return any(_URI.match(uri.strip(" \t")) for uri in uris.split(","))


# -- whose mail it is


class Author(NamedTuple):
    """The domain in From, and why there is none."""

    domain: str
    trouble: str = ""


def author_of(fields: Sequence[Field]) -> Author:
    """The one domain that the From field names, as an A-label in lower case (section 5.3.1)."""
    found = [each for each in fields if each.key == b"from"]
    if len(found) != 1:
        return Author("", "no From field" if not found else "more than one From field")
    written = [mailbox.address for mailbox in mailboxes.parse(found[0].value[:MAX_FROM])]
    domains = {domain_of(address.rpartition("@")[2]) if "@" in address else "" for address in written}
    if len(domains) != 1:
        return Author("", "no address in From" if not domains else "more than one domain in From")
    [domain] = domains
    return Author(domain, "" if domain else "no domain in From")


def domain_of(text: str) -> str:
    """A domain as DNS has it: A-labels, lower case, no final dot; empty for what is no domain."""
    text = text.strip(" \t").removesuffix(".")
    if not text.isascii() and len(text) <= 253:
        text = _a_labels(text)
    return text.lower() if _DOMAIN.match(text) else ""


def _a_labels(text: str) -> str:
    import idna  # some tables; most mail needs none

    try:
        return idna.encode(text, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return ""


# -- evaluation


class Ask(NamedTuple):
    """A question to the DNS."""

    kind: Literal["policy", "exists"]
    """``policy``: the TXT records of ``_dmarc.DOMAIN``. ``exists``: anything but NXDOMAIN for the domain itself; the
    answer is then empty for NXDOMAIN, and not empty otherwise."""
    domain: str


Texts = tuple[str, ...] | None
"""An answer; None where the DNS failed."""


class Identifier(NamedTuple):
    """A domain that SPF or DKIM has looked at."""

    method: Literal["spf", "dkim"]
    domain: str
    outcome: Literal["pass", "fail", "unknown"]
    """``unknown``: the DNS failed, so it may have been a pass."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    result: Literal["none", "pass", "fail", "temperror"]
    domain: str = ""
    """Of the policy record; empty where there is none."""
    policy: Policy | None = None
    """What that record asks for mail of this author that fails; in testing, already one step milder (``t=y``)."""


Evaluating = Generator[Ask, Texts, Evaluation]


class _Unknown(Exception):
    """The DNS failed where its answer matters."""


@dataclass(slots=True)
class _Tree:
    """What is known of the tree so far."""

    records: dict[str, Record | None] = field(default_factory=dict)

    def record(self, domain: str) -> Generator[Ask, Texts, Record | None]:
        if domain not in self.records:
            texts = yield Ask("policy", domain)
            if texts is None:
                raise _Unknown
            self.records[domain] = read_records(texts)
        return self.records[domain]

    def walk(self, domain: str) -> Generator[Ask, Texts, list[tuple[str, Record]]]:
        """The records on the way up from a domain, itself included, the longest name first (section 4.10)."""
        found = []
        for name in names_upwards(domain):
            record = yield from self.record(name)
            if record is not None:
                found.append((name, record))
                if record.psd != "u":
                    break
        return found


def evaluate(author: str, identifiers: Sequence[Identifier]) -> Evaluating:
    """Judges the mail of an author's domain (`author_of`) by what SPF and DKIM have found."""
    try:
        return (yield from _evaluate(author, identifiers))
    except _Unknown:
        # Section 5.3.6: neither pass nor fail.
        return Evaluation("temperror")


def _evaluate(author: str, identifiers: Sequence[Identifier]) -> Evaluating:
    tree = _Tree()
    own = yield from tree.record(author)
    proven = any(each.outcome == "pass" and each.domain == author for each in identifiers)
    if proven and own is not None and own.applies:
        # Section 4.10.2: the same domain, with a record of its own, needs no walk.
        return Evaluation("pass", author, _in_force(own.p, own))
    walked = yield from tree.walk(author)
    organization = organization_of(author, walked)
    chosen = _chosen(author, organization, walked)
    if chosen is None or not chosen[1].applies:
        return Evaluation("none")
    domain, record = chosen
    unknown = False
    for each in identifiers:
        if each.outcome == "fail" or not (yield from _is_aligned(each, author, organization, record, tree)):
            continue
        if each.outcome == "pass":
            return Evaluation("pass", domain, (yield from _asked_for(author, domain, record, "pass")))
        unknown = True
    if unknown:
        return Evaluation("temperror", domain)
    return Evaluation("fail", domain, (yield from _asked_for(author, domain, record, "fail")))


def names_upwards(domain: str) -> Iterator[str]:
    """The names that a walk asks about: the domain, then ever shorter ones, eight at most (section 4.10)."""
    yield domain
    labels = domain.split(".")
    rest = labels[1:] if len(labels) < MAX_LABELS else labels[-(MAX_LABELS - 1) :]
    for start in range(len(rest)):
        yield ".".join(rest[start:])


def organization_of(domain: str, walked: Sequence[tuple[str, Record]]) -> str:
    """The organizational domain, by the records on the way up from `domain` (section 4.10.2)."""
    for name, record in walked:
        if record.psd == "n":
            return name
        if record.psd == "y" and name != domain:
            labels = domain.split(".")
            return ".".join(labels[-(name.count(".") + 2) :])
    return walked[-1][0] if walked else domain


def _chosen(author: str, organization: str, walked: Sequence[tuple[str, Record]]) -> tuple[str, Record] | None:
    """The policy record: of the author's domain, else of its organization, else of the public suffix above (4.10.1)."""
    by_name = dict(walked)
    for name in (author, organization):
        if name in by_name:
            return name, by_name[name]
    return next(((name, record) for name, record in walked if record.psd == "y"), None)


def _is_aligned(
    each: Identifier, author: str, organization: str, record: Record, tree: _Tree
) -> Generator[Ask, Texts, bool]:
    if each.domain == author:
        return True
    strict = record.strict_dkim if each.method == "dkim" else record.strict_spf
    # An organization is always an end of its domains' names: for others nothing need be asked.
    if strict or not (each.domain == organization or each.domain.endswith(f".{organization}")):
        return False
    walked = yield from tree.walk(each.domain)
    return organization_of(each.domain, walked) == organization


def _asked_for(author: str, domain: str, record: Record, result: str) -> Generator[Ask, Texts, Policy]:
    policy = record.p
    if author != domain:
        policy = record.sp or record.p
        # Only a mail that failed is worth the question.
        if result == "fail" and record.np is not None and (yield Ask("exists", author)) == ():
            policy = record.np
    return _in_force(policy, record)


def _in_force(policy: Policy, record: Record) -> Policy:
    return _ONE_LESS[policy] if record.testing else policy
