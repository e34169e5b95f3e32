"""Inbound mail: from an accepted connection to what comes of it.

Purpose: who may be written to, making what came durable before it is answered, and then doing with it what is to be
done: reports about messages of ours become events of those, for all else receipt rules are applied. Follows RFC 5321
(receiving), RFC 3464, 5965 and 3834 (reports), and "Email receiving concepts" of the SES developer guide.
Flow: smtp/ -> accept.refusal (recipients.Recipients.judge), accept.receive -> ports.Inbox.add, the plan of the rules
with it; then worker -> feedback (reports -> domain/feedback -> events) or mail (inspection.Inspection -> actions,
bouncing -> domain/receipt_progress) -> ports.Inbox.settle. Verdicts: authentication (spf, mail/dkim_verify,
mail/dmarc, mail/arc) beside ports.scanners. trial: the same way in for who tries something out.
To add an action: one function in actions.py and its line in Actions.run; domain/receipt_rules and receipt_forms.
May import: submission, ports, mail, wire, domain, model, config, observe.
Not here: sockets (smtp/); which rule applies (domain/receipt_plan.py, pure); how reports are written and read (mail/),
what a report means (domain/feedback.py), what follows from an action (domain/receipt_progress.py); AWS (adapters/).
"""
