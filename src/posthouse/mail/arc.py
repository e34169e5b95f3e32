"""Validating an ARC chain: RFC 8617 section 5.2. Only its outcome is of interest here: nobody is trusted for it.

Never raises; the keys are looked up by the caller, between `read` and `check`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from posthouse.mail import dkim_verify
from posthouse.mail.dkim_verify import BodyDigest, Claim, PublicKey, Refusal
from posthouse.mail.headers import Field

MAX_SETS = 20
"""RFC 8617 section 4.2.1 allows 50. Each set costs a key lookup, and real chains are two or three long."""
RESULTS, SIGNATURE, SEAL = b"arc-authentication-results", b"arc-message-signature", b"arc-seal"
_INSTANCE = re.compile(rb"[ \t\r\n]*i[ \t\r\n]*=[ \t\r\n]*([0-9]{1,3})[ \t\r\n]*(?:;|\Z)")


@dataclass(frozen=True, slots=True)
class Set:
    """The three fields that one server added."""

    results: Field
    signature: Claim
    seal: Claim


@dataclass(frozen=True, slots=True)
class Chain:
    """The sets in order; none, and no refusal: the message has no chain."""

    sets: tuple[Set, ...] = ()
    refusal: Refusal | None = None

    @property
    def claims(self) -> list[Claim]:
        """What has to be verified: the newest message signature, and every seal."""
        return [self.sets[-1].signature, *(each.seal for each in reversed(self.sets))] if self.sets else []


def read(fields: Sequence[Field]) -> Chain:
    """The chain of a message, as far as it can be judged without keys (steps 1 to 3)."""
    found: dict[int, dict[bytes, Field]] = {}
    for field in fields:
        if field.key not in (RESULTS, SIGNATURE, SEAL):
            continue
        instance = _instance(field)
        if instance is None or field.key in found.setdefault(instance, {}):
            return Chain(refusal=Refusal("fail", "an instance is missing or stands twice"))
        found[instance][field.key] = field
    if len(found) > MAX_SETS:
        return Chain(refusal=Refusal("fail", "a longer chain than is looked at"))
    if sorted(found) != list(range(1, len(found) + 1)) or any(len(each) != 3 for each in found.values()):
        return Chain(refusal=Refusal("fail", "a set is not complete"))
    sets = tuple(_set(found[number]) for number in sorted(found))
    return Chain(sets, _why_not(sets))


def _instance(field: Field) -> int | None:
    value = field.raw[field.raw.find(b":") + 1 :]
    if field.key == RESULTS:
        match = _INSTANCE.match(value)
        return int(match[1]) if match else None
    tags = dkim_verify.read_tags(value[: dkim_verify.MAX_FIELD].decode("iso-8859-1")) or {}
    text = tags.get("i", "")
    return int(text) if re.fullmatch("[0-9]{1,3}", text) else None


def _set(fields: Mapping[bytes, Field]) -> Set:
    return Set(
        results=fields[RESULTS],
        signature=dkim_verify.read_tags_of(fields[SIGNATURE], ("i", "a", "b", "bh", "d", "h", "s")),
        seal=dkim_verify.read_tags_of(fields[SEAL], ("i", "a", "b", "cv", "d", "s")),
    )


def _why_not(sets: Sequence[Set]) -> Refusal | None:
    for number, each in enumerate(sets, 1):
        if each.seal.tags.get("cv", "").lower() != ("none" if number == 1 else "pass"):
            return Refusal("fail", f"the chain was broken at {number}")
        if "h" in each.seal.tags or SEAL in each.signature.names:
            return Refusal("fail", f"a signature at {number} that may not be")
        if each.seal.refusal or each.signature.refusal:
            return Refusal("fail", f"a signature at {number} that cannot be read")
    return None


def check(
    chain: Chain, keys: Mapping[str, PublicKey | Refusal], fields: Sequence[Field], digest: BodyDigest
) -> Refusal:
    """The outcome: ``none``, ``pass``, ``fail``, or ``temperror`` where a key is not known. `keys` by `key_name`."""
    if chain.refusal or not chain.sets:
        return chain.refusal or Refusal("none", "")
    for claim in chain.claims:
        if isinstance(key := keys[claim.key_name], Refusal):
            return Refusal("temperror" if key.result == "temperror" else "fail", key.reason)
    newest = chain.sets[-1].signature
    key = keys[newest.key_name]
    assert not isinstance(key, Refusal)
    if refusal := dkim_verify.check(newest, key, fields, digest):
        return Refusal("fail", refusal.reason)
    for number in range(len(chain.sets), 0, -1):
        seal = chain.sets[number - 1].seal
        key = keys[seal.key_name]
        assert not isinstance(key, Refusal)
        if not dkim_verify.verify(key, seal, _sealed_text(chain.sets[:number])):
            return Refusal("fail", f"the seal at {number} does not match")
    return Refusal("pass", "")


def _sealed_text(sets: Sequence[Set]) -> bytes:
    """All sets up to this one, its own seal without its value (section 5.1.1): always in the relaxed form."""
    before = [field for each in sets for field in (each.results, each.signature.field, each.seal.field)][:-1]
    return dkim_verify.canonical(before, True) + dkim_verify.canonical_own(sets[-1].seal, True)
