"""The outside world behind the ports: DNS, sockets, wake-ups between processes.

Purpose: ports/resolver on dnspython, ports/network on asyncio, ports/wakeups on Unix datagrams, ports/http_calls on
aiohttp; ports/topics, ports/streams and ports/metric_sinks as stand-ins (local_...) and by AWS's protocols (aws_...).
Source: RFC 1035, RFC 5321 §4.5.3.2 (deadlines), RFC 3207 and 7435 (opportunistic TLS); API references of Amazon SNS,
Data Firehose, CloudWatch and STS.
May import: ports, mail, wire, domain, model.
Not here: what is kept (stores/), protocols (wire/), decisions (domain/). Only assembly imports this room.
"""
