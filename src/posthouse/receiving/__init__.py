"""Inbound mail: from an accepted connection to the inbox.

Purpose: who may be written to, and making what came durable before it is answered. Follows RFC 5321 (receiving) and
"Email receiving concepts" of the SES developer guide.
Flow: smtp/ -> recipients.Recipients.accepts -> accept.receive -> ports.Inbox.add.
May import: submission, ports, mail, wire, domain, model.
Not here: sockets (smtp/). Receipt rules and their actions are not built yet: mail to verified domains is kept for the
console, and nothing else happens to it.
"""
