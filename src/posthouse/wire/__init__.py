"""Protocols without sockets: bytes in, events and bytes out.

Purpose: SMTP server and client, the AWS Query form and its XML, Signature Version 4, the PROXY header. Source: RFC 5321
and its extensions, the AWS General Reference, the SES API reference; each module names its own.
May import: model.
Not here: sockets and deadlines (smtp/, adapters/), what to answer (the doors), messages (mail/). No I/O, no clock.
"""
