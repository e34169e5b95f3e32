"""A small authoritative DNS server on loopback, UDP and TCP on one port, that can also be made to misbehave."""

import asyncio
from collections import Counter
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

FAULTS = ("timeout", "servfail", "refused", "truncate", "garbage")


class DnsServer:
    """Answers from `records`; `faults` by name decide otherwise. Change both at any time."""

    def __init__(self, negative_ttl_s: int = 60) -> None:
        self.records: dict[tuple[str, str], list[str]] = {}
        """(name, type) -> record texts."""
        self.ttl_s = 300
        self.faults: dict[str, str] = {}
        self.asked: Counter[tuple[str, str]] = Counter()
        self.over_tcp = 0
        self._negative_ttl_s = negative_ttl_s
        self.address = ""

    def add(self, name: str, type: str, *texts: str) -> None:
        self.records.setdefault((name, type), []).extend(texts)

    async def __aenter__(self) -> "DnsServer":
        loop = asyncio.get_running_loop()
        self._tcp = await asyncio.start_server(self._serve_tcp, "127.0.0.1", 0)
        port = self._tcp.sockets[0].getsockname()[1]
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), local_addr=("127.0.0.1", port))
        self.address = f"127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._udp.close()
        self._tcp.close()
        await self._tcp.wait_closed()

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                size = int.from_bytes(await reader.readexactly(2))
                reply = self.answer(await reader.readexactly(size), tcp=True)
                if reply is not None:
                    writer.write(len(reply).to_bytes(2) + reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def answer(self, query: bytes, *, tcp: bool) -> bytes | None:
        message = dns.message.from_wire(query)
        [question] = message.question
        name, type = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
        self.asked[name, type] += 1
        self.over_tcp += tcp
        reply = dns.message.make_response(message, recursion_available=True)
        match self.faults.get(name):
            case "timeout":
                return None
            case "garbage":
                return query[:2] + b"\x81\x80" + b"\xff" * 30
            case "servfail":
                reply.set_rcode(dns.rcode.SERVFAIL)
                return reply.to_wire()
            case "refused":
                reply.set_rcode(dns.rcode.REFUSED)
                return reply.to_wire()
            case "truncate" if not tcp:
                reply.flags |= dns.flags.TC
                return reply.to_wire()
        self._fill(reply, name, type)
        return reply.to_wire(max_size=65535 if tcp else 0)

    def _fill(self, reply: dns.message.Message, name: str, type: str) -> None:
        seen: list[str] = []
        while (texts := self.records.get((name, "CNAME"))) and type != "CNAME" and name not in seen:
            seen.append(name)
            reply.answer.append(self._rrset(name, "CNAME", texts))
            name = texts[0].rstrip(".").lower()
        texts = self.records.get((name, type))
        if texts:
            reply.answer.append(self._rrset(name, type, texts))
            return
        if name in seen:  # a loop of CNAMEs: the answer holds them all
            return
        zone = name.split(".")[-1]
        soa = f"ns.{zone}. root.{zone}. 1 1 1 1 {self._negative_ttl_s}"
        reply.authority.append(dns.rrset.from_text(f"{zone}.", self._negative_ttl_s, "IN", "SOA", soa))
        if not any(known == name or known.endswith(f".{name}") for known, _ in self.records):
            reply.set_rcode(dns.rcode.NXDOMAIN)

    def _rrset(self, name: str, type: str, texts: list[str]) -> dns.rrset.RRset:
        return dns.rrset.from_text(f"{name}.", self.ttl_s, "IN", type, *texts)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, sender: Any) -> None:
        reply = self._server.answer(data, tcp=False)
        if reply is not None:
            self._transport.sendto(reply, sender)
