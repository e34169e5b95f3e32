"""The way a message enters: one `accept` for the API, SMTP, feedback mail and the bounce action.

Purpose: gather what is known about caller, sender and recipients, let the domain decide, make the message durable,
and only then give it a name (promise 1 of the contract). Source: API reference of SendEmail and SendRawEmail.
Flow: operations | smtp -> raw.submit_raw (for RFC 5322 bytes) -> accept.accept -> ports.Submissions.add.
May import: ports, mail, wire, domain, model.
Not here: composing and signing (delivery/prepare, behind the queue), who is calling (api/, smtp/).
"""
