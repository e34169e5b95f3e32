"""The event log to its destinations: choose, render, send, try again.

Purpose: SNS, Firehose and CloudWatch destinations of configuration sets and identities, and feedback by e-mail.
Source: SES developer guide, "Monitoring using Amazon SES event publishing".
May import: submission, ports, mail, wire, domain, model.
Not here: what happened (delivery/, receiving/ and web/ write the event log). Nothing is built yet: events stand in the
log, the console and the admin API read them there.
"""
