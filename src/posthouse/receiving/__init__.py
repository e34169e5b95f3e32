"""Inbound mail: from an accepted connection to the inbox, and what is found out about it.

Purpose: who may be written to, and making what came durable before it is answered. Follows RFC 5321 (receiving) and
"Email receiving concepts" of the SES developer guide.
Flow: smtp/ -> recipients.Recipients.judge -> accept.receive -> ports.Inbox.add. Before rules run, inspection.Inspection
gives the verdicts: authentication (spf, mail/dkim_verify, mail/dmarc, mail/arc) beside ports.scanners.
May import: submission, ports, mail, wire, domain, model.
Not here: sockets (smtp/); which rule applies (domain/receipt_plan.py, pure). The actions of receipt rules are not run
yet: what came is kept for the console.
"""
