"""DNS records as Terraform: a map that the resource of any DNS provider can loop over. Pure."""

from collections.abc import Iterable

from posthouse.domain.dns_records import TTL_S, DnsRecord

_HOW = """
# With Amazon Route 53, where a text beyond 255 characters is written as several strings:
#
# resource "aws_route53_record" "posthouse" {
#   for_each = local.posthouse_dns_records
#   zone_id  = var.zone_id
#   name     = each.value.name
#   type     = each.value.type
#   ttl      = each.value.ttl
#   records = [for value in each.value.values : each.value.type != "TXT" ? value :
#     join("\\"\\"", [for part in chunklist(split("", value), 255) : join("", part)])]
# }
"""


def terraform(records: Iterable[DnsRecord]) -> str:
    """A `locals` block with one entry for each name and type, and how to use it.

    Values are as `DnsRecord.value` has them: names without a final dot, texts whole and unquoted.
    """
    values: dict[tuple[str, str], list[str]] = {}
    for record in records:
        values.setdefault((record.name, record.type), []).append(record.value)
    entries = "".join(_entry(name, type, listed) for (name, type), listed in values.items())
    return f"locals {{\n  posthouse_dns_records = {{\n{entries}  }}\n}}\n{_HOW}"


def _entry(name: str, type: str, values: list[str]) -> str:
    listed = ", ".join(map(_quoted, values))
    return (
        f"    {_quoted(f'{name} {type}')} = {{\n      name   = {_quoted(name)}\n      type   = {_quoted(type)}\n"
        f"      ttl    = {TTL_S}\n      values = [{listed}]\n    }}\n"
    )


def _quoted(text: str) -> str:
    """As a string without interpolation (HCL native syntax specification, "Template Expressions")."""
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("${", "$${").replace("%{", "%%{")
    return f'"{text}"'
