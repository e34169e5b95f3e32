"""What must exist, and what time does: the installation's own keys, and the watch over identities; retention later.

Purpose: work that no request asks for. Source: SES developer guide ("Easy DKIM": every mail carries a signature of the
service's own domain; "Verifying a domain": records are looked for, and looked at again).
Flow: identities.IdentityWatch.look -> ports.Resolver -> domain/dns_proof.judge -> ports.Records.
May import: submission, ports, mail, wire, domain, model.
Not here: anything that a caller waits for (operations/).
"""
