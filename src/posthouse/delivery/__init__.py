"""Outgoing mail: from a claimed row of the queue to a settled outcome.

Follows RFC 5321 (sending, retrying, MX), RFC 7435 (opportunistic TLS) and SES's rules of bouncing and expiry.
Flow: worker.run claims -> prepare (injected) -> parcel by destination -> destination queues and connections ->
attempt (hops, TLS, transaction) -> conclusion (domain.outcomes.judge, events) -> settling in batches.
May import: ports, mail, wire, domain, model, config, observe.
Not here: how a message is composed and signed (prepare), the protocol (wire/smtp_client), where a domain's mail goes
and what a reply means (domain/routing, domain/outcomes), sockets and DNS (adapters/).
"""
