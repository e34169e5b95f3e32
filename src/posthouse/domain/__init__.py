"""Facts and decisions, as plain values and pure functions.

Purpose: what an identity, a message, a quota, an outcome *is*, and what follows from the facts: may this caller
send, is this recipient's reply final, where does a domain's mail go. Source: the SES developer guide and API
reference; RFC 5321 for routing and replies. No I/O, no clock, no randomness: times and random bytes are arguments.
May import: model (its error types are raised here, so that there is no translation layer).
Not here: protocols on the wire (wire/), message bytes (mail/), where facts are kept (stores/).
"""
