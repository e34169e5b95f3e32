"""The event log to its destinations: choose, render, tell, try again.

Purpose: SNS, Firehose and CloudWatch destinations of configuration sets, topics of identities, and feedback by e-mail.
Source: SES developer guide, "Monitoring email sending using event publishing"; docs/decisions/0009-publishing.md.
Flow: worker > router (log to publications) and worker > telling (publications to the outside), under leases.
Beside it: subscribers > couriers > envelopes, from the embedded topics to who subscribed to them.
May import: submission, ports, mail, wire, domain, model.
Not here: what happened (delivery/, receiving/ and web/ write the event log), who hears of it (domain/publishing.py),
how a topic or a stream is reached (adapters/), the words of feedback mail (`feedback.ForwardFeedback` is given).
To add a kind of destination: an endpoint in domain/publishing.py, a method in telling.py, a case in worker.py.
"""
