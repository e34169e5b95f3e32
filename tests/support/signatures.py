"""DKIM signatures of what our server sent, verified by dkimpy with the keys that the operator is told to publish."""

import json
from typing import Any

import dkim
from tests.support.server import Server


def published_keys(server: Server, *domains: str) -> dict[str, str]:
    """What the DNS would answer for every key of the installation, from the operator's own command."""
    found: dict[str, str] = {}
    aliases: dict[str, str] = {}
    for domain in (*domains, "posthouse.test"):
        listed = server.cli("identity", "dns", domain, "--json")
        assert listed.returncode == 0, listed.stderr
        for record in json.loads(listed.stdout):
            if record["type"] in ("TXT", "CNAME"):
                (found if record["type"] == "TXT" else aliases)[record["name"]] = record["value"]
    return found | {name: found[target] for name, target in aliases.items()}


def verified_domains(mail: bytes, keys: dict[str, str], count: int = 2) -> list[str]:
    """Whose signatures stand over the mail (CRLF), from the top; each of the `count` must be good."""

    def lookup(name: bytes, timeout: int = 5) -> bytes | None:
        record = keys.get(name.decode().rstrip("."))
        return record.encode() if record else None

    domains = []
    for number in range(count):
        verifier: Any = dkim.DKIM(mail)
        assert verifier.verify(idx=number, dnsfunc=lookup), f"signature {number}"
        domains.append(verifier.domain.decode())
    return domains
