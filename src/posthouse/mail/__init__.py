"""The message toolbox: reading, writing, rewriting and signing of Internet messages, bytes in and bytes out.

Follows RFC 5322 (format), RFC 2045-2047 and 2231 (MIME), RFC 6376 and 8463 (DKIM), and what Amazon SES makes of them.
Flow out: submitted.read_submission (what came in) or compose.compose (SendEmail) -> tracking.rewrite ->
outgoing.rewrite_head -> dkim.sign -> outgoing.assemble.   To look into a mail: parse.read, parse.part.
May import: wire, domain, model.
Not here: whether an address is acceptable (domain), dot-stuffing and lines on the wire (wire), where bytes are kept
(stores). No I/O, no clock, no randomness; the stdlib ``email`` package is met in tests only, as a judge.
To read another header: headers.fields gives them all; ``Field.text`` is the decoded value.
"""
