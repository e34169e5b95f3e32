"""Inbound mail: from an accepted connection to what comes of it.

Purpose: who may be written to, making what came durable before it is answered, and then doing with it what is to be
done: reports about messages of ours become events of those; all else is kept. Follows RFC 5321 (receiving), RFC 3464,
5965 and 3834 (reports), and "Email receiving concepts" of the SES developer guide.
Flow: smtp/ -> accept.refusal (recipients.Recipients.judge), accept.receive -> ports.Inbox.add; then worker -> feedback
(reports -> domain/feedback -> events), or the handler that assembly gives -> ports.Inbox.settle. Before rules run,
inspection.Inspection gives the verdicts: authentication (spf, mail/dkim_verify, mail/dmarc, mail/arc) beside
ports.scanners.
May import: submission, ports, mail, wire, domain, model, config, observe.
Not here: sockets (smtp/); which rule applies (domain/receipt_plan.py, pure); how reports are written and read (mail/),
what a report means (domain/feedback.py). The actions of receipt rules are not run yet: what came is kept for the
console.
"""
