"""DNS records as lines of a zone file (RFC 1035 section 5). Pure."""

from posthouse.domain.dns_records import TTL_S, DnsRecord

_LONGEST = 255
"""Octets of one character-string of a TXT record (RFC 1035 section 3.3)."""


def zone_line(record: DnsRecord) -> str:
    """Names are absolute, so that the line means the same in any zone file."""
    return f"{record.name}. {TTL_S} IN {record.type} {zone_value(record)}"


def zone_value(record: DnsRecord) -> str:
    match record.type:
        case "TXT":
            return _strings(record.value)
        case "A" | "AAAA":
            return record.value
        case _:
            return f"{record.value}."


def _strings(text: str) -> str:
    parts = [text[start : start + _LONGEST] for start in range(0, len(text), _LONGEST)] or [""]
    return " ".join(f'"{_escaped(part)}"' for part in parts)


def _escaped(part: str) -> str:
    return part.replace("\\", r"\\").replace('"', r"\"")
