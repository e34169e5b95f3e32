"""What must exist, and what time does: the installation's own keys now; DNS checks, expiry and retention later.

Purpose: work that no request asks for. Source: SES developer guide ("Easy DKIM": every mail carries a signature of the
service's own domain).
May import: submission, ports, mail, wire, domain, model.
Not here: anything that a caller waits for (operations/).
"""
