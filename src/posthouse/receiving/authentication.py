"""Who a mail is from: SPF, DKIM and DMARC together, and what an ARC chain says.

Flow: `authenticate` -> spf.check, mail/dkim_verify and mail/arc beside each other -> mail/dmarc.evaluate. DNS comes by
ports.Resolver; a DNS that fails is a result (temperror), not an exception. Every step has its deadline, the number of
signatures and questions a bound: a stranger chooses what is asked here.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from posthouse.domain.verdicts import Authentication, DkimResult, DmarcResult, SpfResult
from posthouse.mail import arc, dkim_verify, dmarc, headers
from posthouse.mail.dkim_verify import Claim, PublicKey, Refusal
from posthouse.mail.headers import Field, Split
from posthouse.ports.resolver import LookupFailed, NoSuchName, Resolver

MAX_SIGNATURES = 10
"""Signatures looked at, from the top: mail of big senders has two or three."""
MAX_IDENTITY = 320
"""Characters kept of who signed: it is as long as the signer likes."""
MAX_HEAD = 256 * 1024
MAX_FIELDS = 2000
IDENTITY_S = 20.0
"""For SPF, DKIM and ARC, beside each other. RFC 7208 section 4.6.4 asks for at least 20 seconds."""
POLICY_S = 10.0
"""For DMARC behind them."""

_Keys = Mapping[str, PublicKey | Refusal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a mail came from, in the words of its SMTP session."""

    client_ip: str
    helo: str
    mail_from: str
    """Empty for the null reverse path."""


@dataclass(frozen=True, slots=True)
class _Signatures:
    """What is signed about a mail, and what it is checked against."""

    fields: list[Field]
    body: bytes
    claims: list[Claim]
    chain: arc.Chain


async def authenticate(
    content: bytes, origin: Origin, resolver: Resolver, *, receiver: str, now_s: int
) -> Authentication:
    """Judges a mail as it came over the wire. `receiver` is our host name, which SPF records may ask for."""
    from posthouse.receiving import spf

    split = headers.split(content)
    fields = headers.fields(split.head[:MAX_HEAD], MAX_FIELDS)
    signatures = _signatures(fields, split, now_s)
    async with asyncio.TaskGroup() as tasks:
        spf_checked = tasks.create_task(
            spf.check(origin.client_ip, origin.helo, origin.mail_from, resolver, receiver, IDENTITY_S)
        )
        signatures_checked = tasks.create_task(_check_signatures(signatures, resolver))
    spf_result = spf_checked.result()
    dkim_results, arc_result = signatures_checked.result()
    return Authentication(
        client_ip=origin.client_ip,
        helo=origin.helo,
        spf=spf_result,
        dkim=tuple(dkim_results),
        dmarc=await _judge(dmarc.author_of(fields), spf_result, dkim_results, resolver),
        arc=arc_result,
    )


# -- DKIM and ARC


def _signatures(fields: list[Field], split: Split, now_s: int) -> _Signatures:
    signed = [field for field in fields if field.key == b"dkim-signature"][:MAX_SIGNATURES]
    return _Signatures(fields, split.body, [dkim_verify.read(field, now_s) for field in signed], arc.read(fields))


async def _check_signatures(signatures: _Signatures, resolver: Resolver) -> tuple[list[DkimResult], str]:
    keys = await _keys([*signatures.claims, *signatures.chain.claims], resolver)
    if not keys:
        return _checked(signatures, keys)
    return await asyncio.to_thread(_checked, signatures, keys)


async def _keys(claims: Iterable[Claim], resolver: Resolver) -> _Keys:
    """The keys of all claims that may be valid, by name."""
    wanted = {claim.key_name: claim for claim in claims if claim.refusal is None}
    async with asyncio.TaskGroup() as tasks:
        asked = {name: tasks.create_task(_key_records(name, resolver)) for name in wanted}
    found = {name: task.result() for name, task in asked.items()}
    return {
        name: each if isinstance(each, Refusal) else dkim_verify.read_key(each, wanted[name])
        for name, each in found.items()
    }


async def _key_records(name: str, resolver: Resolver) -> tuple[str, ...] | Refusal:
    try:
        async with asyncio.timeout(IDENTITY_S):
            found = await resolver.txt(name)
    except TimeoutError:
        return Refusal("temperror", "the key lookup took too long")
    if isinstance(found, LookupFailed):
        return Refusal("temperror", "the key lookup failed")
    return () if isinstance(found, NoSuchName) else found


def _checked(signatures: _Signatures, keys: _Keys) -> tuple[list[DkimResult], str]:
    """All the hashing and deciphering of a mail: for large ones the work of a thread."""
    digest = dkim_verify.digests_of(signatures.body)
    results = []
    for claim in signatures.claims:
        refusal = claim.refusal
        if refusal is None:
            key = keys[claim.key_name]
            refusal = key if isinstance(key, Refusal) else dkim_verify.check(claim, key, signatures.fields, digest)
        results.append(_dkim_result(claim, refusal))
    return results, arc.check(signatures.chain, keys, signatures.fields, digest).result


def _dkim_result(claim: Claim, refusal: Refusal | None) -> DkimResult:
    result, reason = refusal or ("pass", "")
    identity = claim.identity[:MAX_IDENTITY] if claim.domain else ""
    return DkimResult(result=result, domain=claim.domain, selector=claim.selector, identity=identity, reason=reason)


# -- DMARC


async def _judge(author: dmarc.Author, spf: SpfResult, dkim: Sequence[DkimResult], resolver: Resolver) -> DmarcResult:
    if not author.domain:
        # Several domains are somebody's trick (RFC 9989, "Denial of DMARC Processing Attacks"); none is only bad mail.
        several = author.trouble.startswith("more than one")
        return DmarcResult(result="permerror" if several else "none", reason=author.trouble)
    try:
        async with asyncio.timeout(POLICY_S):
            found = await _evaluated(dmarc.evaluate(author.domain, _identifiers(spf, dkim)), resolver)
    except TimeoutError:
        return DmarcResult(result="temperror", author_domain=author.domain, reason="the policy lookups took too long")
    return DmarcResult(
        result=found.result,
        author_domain=author.domain,
        policy_domain=found.domain,
        policy=found.policy.value if found.policy is not None else "",
    )


def _identifiers(spf: SpfResult, dkim: Sequence[DkimResult]) -> list[dmarc.Identifier]:
    found = [dmarc.Identifier("spf", dmarc.domain_of(spf.sender_domain), _outcome(spf.result))]
    found += [dmarc.Identifier("dkim", each.domain, _outcome(each.result)) for each in dkim]
    return [each for each in found if each.domain]


def _outcome(result: str) -> Literal["pass", "fail", "unknown"]:
    return "pass" if result == "pass" else "unknown" if result == "temperror" else "fail"


async def _evaluated(evaluating: dmarc.Evaluating, resolver: Resolver) -> dmarc.Evaluation:
    """Asks what the evaluation wants to know until it has made up its mind."""
    try:
        ask = next(evaluating)
        while True:
            ask = evaluating.send(await _answer(ask, resolver))
    except StopIteration as end:
        evaluation: dmarc.Evaluation = end.value
        return evaluation


async def _answer(ask: dmarc.Ask, resolver: Resolver) -> dmarc.Texts:
    if ask.kind == "exists":
        existing = await resolver.mx(ask.domain)
        if isinstance(existing, LookupFailed):
            return None
        return () if isinstance(existing, NoSuchName) else ("there",)
    found = await resolver.txt(f"_dmarc.{ask.domain}")
    if isinstance(found, LookupFailed):
        return None
    return () if isinstance(found, NoSuchName) else found
