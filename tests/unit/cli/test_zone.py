"""Zone file lines, read back by another implementation."""

import dns.rdatatype
import dns.zone
import pytest

from posthouse.cli.zone import zone_line
from posthouse.domain.dns_records import DnsRecord


def read(line: str) -> tuple[str, str, bytes]:
    """Name, type and value as dnspython reads them in the zone of the root."""
    soa = ". 60 IN SOA a. b. 1 1 1 1 1\n. 60 IN NS a.\n"
    zone = dns.zone.from_text(f"{soa}{line}\n", origin=".", relativize=False)
    [(name, _, record)] = [each for each in zone.iterate_rdatas() if each[2].rdtype not in (2, 6)]
    value = b"".join(record.strings) if record.rdtype == dns.rdatatype.TXT else str(record).encode()
    return str(name), dns.rdatatype.to_text(record.rdtype), value


@pytest.mark.parametrize("text", ["v=DKIM1; k=rsa; p=" + "A" * 400, 'a "quoted" \\ text', "x" * 255, "x" * 510, ""])
def test_a_txt_record_of_any_length_reads_back(text: str) -> None:
    line = zone_line(DnsRecord(purpose="DKIM key", type="TXT", name="t.dkim.posthouse.test", value=text))
    assert read(line) == ("t.dkim.posthouse.test.", "TXT", text.encode())


def test_names_are_absolute() -> None:
    line = zone_line(DnsRecord(purpose="DKIM", type="CNAME", name="t._domainkey.example.com", value="t.dkim.p.test"))
    assert read(line) == ("t._domainkey.example.com.", "CNAME", b"t.dkim.p.test.")
