"""The DNS door: the authoritative server for the service domain, over UDP and TCP.

Purpose: what SES keeps under amazonses.com has to be somewhere: the public keys that customers' CNAMEs lead to, the MX
and SPF of the MAIL FROM domains, the hosts behind them. Follows RFC 1034, 1035, 2308, 6891, 7766 and 8482; one zone, no
recursion, no transfer, no DNSSEC.
Flow: server.DnsServer > service_zone.ServiceZone > wire.dns_message, wire.dns_answers.
May import: submission, ports, mail, wire, domain, model. It needs only ports, wire and domain.
Not here: which records there are (domain/dns_records.py), how a query reads and what it is answered (wire/, no socket),
looking names up elsewhere (adapters/resolver.py).
"""
