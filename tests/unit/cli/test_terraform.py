"""Terraform text, read back as far as its strings go."""

import json
import re

from posthouse.cli.terraform import terraform
from posthouse.domain.dns_records import DnsRecord


def test_records_of_one_name_and_type_are_one_entry() -> None:
    text = terraform(
        [
            DnsRecord("name server", "A", "ns1.mail.test", "192.0.2.7"),
            DnsRecord("name server", "A", "ns1.mail.test", "192.0.2.8"),
            DnsRecord("MAIL FROM", "MX", "bounce.shop.example", "10 feedback.mail.test"),
        ]
    )
    assert re.findall(r'^    "(.+)" = \{$', text, re.MULTILINE) == ["ns1.mail.test A", "bounce.shop.example MX"]
    assert 'values = ["192.0.2.7", "192.0.2.8"]' in text
    assert text.count("{") == text.count("}")


def test_a_text_is_written_whole_and_nothing_in_it_is_a_template() -> None:
    value = 'quote " backslash \\ ${aws_secret} %{ if true }' + "x" * 300
    [shown] = re.findall(r"values = \[(.*)\]", terraform([DnsRecord("", "TXT", "t.example", value)]))
    assert "$${aws_secret} %%{ if" in shown
    assert json.loads(shown.replace("$${", "${").replace("%%{", "%{")) == value
