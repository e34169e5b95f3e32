"""The SMTP doors: submission with AUTH, and the MX side; sockets, TLS, timeouts.

Follows RFC 5321, 3207, 4954 and "Using the Amazon SES SMTP interface" of the SES developer guide.
Flow: listener -> stream -> conversation.serve -> submission | inbound (a session answers what the protocol asks).
May import: receiving, submission, ports, mail, wire, domain, model. It needs only ports and below: what becomes of a
message is passed in (`submit`, `accept`), so that the doors know no engine.
Not here: the order and syntax of commands (wire/smtp_server.py, no socket); who may send what (submission/); which
recipients exist (receiving/).
"""
