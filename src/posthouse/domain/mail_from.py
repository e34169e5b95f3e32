"""Custom MAIL FROM domains: which one an identity may have, and which one a mail leaves under.

Source: SES developer guide, "Using a custom MAIL FROM domain"; API reference of SetIdentityMailFromDomain; texts
observed on the live service.
"""

from collections.abc import Mapping

import msgspec

from posthouse.domain.addresses import parse_mailbox
from posthouse.domain.identities import VERIFIED, Identity, MailFrom, Status, candidates, domain_name, key_of
from posthouse.domain.messages import MessageFacts
from posthouse.model.errors import InvalidParameterValue

USE_DEFAULT, REJECT = "UseDefaultValue", "RejectMessage"
NONE_SET = MailFrom()


def custom_domain(text: str, identity: Identity) -> str:
    """The MAIL FROM domain in lower case. Raises InvalidParameterValue where this identity cannot have it."""
    domain, own = text.lower(), identity.name.rpartition("@")[2].lower()
    if not domain.endswith(f".{own}"):
        raise InvalidParameterValue(
            f"Provided MAIL-FROM domain <{text}> is not subdomain of the domain of the identity <{own}>."
        )
    if identity.status is Status.FAILED:
        # A pending identity may have one: deployment tools set it up before anything is published.
        raise InvalidParameterValue(
            f"Provided MAIL-FROM domain <{text}> or its parents are not verified for identity <{identity.name}>."
        )
    return domain_name(domain)


def with_mail_from(identity: Identity, domain: str, behavior: str, now_ms: int) -> Identity:
    """The identity with this setting; an empty `domain` removes it.

    The same domain keeps what DNS has proven; a set-up that is pending or has failed starts anew.
    """
    known = identity.mail_from
    if not domain:
        wanted = NONE_SET
    elif domain == known.domain and known.status in VERIFIED:
        wanted = msgspec.structs.replace(known, behavior=behavior)
    else:
        wanted = MailFrom(domain=domain, behavior=behavior, requested_ms=now_ms)
    return msgspec.structs.replace(identity, mail_from=wanted)


def taken_on_trust(identity: Identity) -> Identity:
    """The MAIL FROM domain in use at once, without a look into DNS."""
    if not identity.mail_from.domain:
        return identity
    trusted = msgspec.structs.replace(identity.mail_from, status=Status.SUCCESS, failing_since_ms=0, vouched=True)
    return msgspec.structs.replace(identity, mail_from=trusted)


def governing(address: str, identities: Mapping[str, Identity]) -> MailFrom:
    """The setting that a mail from `address` leaves under: of the address, else of the nearest domain that is a
    verified identity, whether it has set one or not. `identities` are those of `candidates(address)` that exist."""
    for name in map(key_of, candidates(address)):
        identity = identities.get(name)
        if identity is not None and identity.verified and (identity.is_domain or identity.mail_from.domain):
            return identity.mail_from
    return NONE_SET


def usable_domain(setting: MailFrom) -> str:
    """The custom domain while its set-up is whole; empty: the default is used."""
    return setting.domain if setting.status is Status.SUCCESS else ""


def rejects(setting: MailFrom) -> bool:
    """True where mail is to be refused: from the moment RejectMessage was set until the MX record is seen."""
    return bool(setting.domain) and setting.behavior == REJECT and setting.status is not Status.SUCCESS


def sender_of(facts: MessageFacts) -> str:
    """The address, or else the domain, whose identity decides the return path of a message."""
    try:
        return parse_mailbox(facts.source).address
    except InvalidParameterValue:
        # A From field may be written in ways that a parameter may not: its domain's identity decides then.
        return facts.from_domain


def may_have_left_under(domain: str, identities: Mapping[str, Identity]) -> bool:
    """Whether mail from one of these identities may have had its return path at this domain, now or before: a custom
    MAIL FROM domain lies below the domain of its identity."""
    return any(domain.endswith(f".{identity.name.rpartition('@')[2].lower()}") for identity in identities.values())
