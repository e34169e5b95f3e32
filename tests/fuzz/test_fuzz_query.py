"""Hostile forms: any bytes end in a request or in an error of the service, quickly and in bounded space."""

import random

import pytest
from tests.fuzz.inputs import inputs

from posthouse.model.errors import ServiceError
from posthouse.model.generated import OPERATIONS
from posthouse.model.shapes import Structure
from posthouse.wire.query import parse, parse_form, render_error

ROUNDS = inputs(3000)
SHAPES = [operation.request for operation in OPERATIONS.values()]
WORDS = [
    "member",
    "1",
    "2",
    "0",
    "01",
    "x",
    "",
    "99999999999",
    "214748369",
    "-1",
    "é",
    "Name",
    "Value",
    "Data",
    "%",
    "+",
]
VALUES = ["", "a", "true", "1", "-1", "1e9", "2024-05-02T09:15:30Z", "YQ==", "%00", "%FF", "é", "a" * 300, "None", "{}"]


def names_of(shape: type[Structure], depth: int = 0) -> list[str]:
    """Every parameter name of a shape, lists with some index."""
    names = []
    for member in shape.MEMBERS:
        stem = f"{member.name}.member.{1 + depth}" if member.kind == "list" else member.name
        names += [f"{stem}.{inner}" for inner in names_of(member.shape, depth + 1)] if member.shape else [stem]
    return names


def a_form(source: random.Random, names: list[str]) -> bytes:
    pairs = []
    for _ in range(source.randrange(12)):
        name = source.choice(names) if names and source.random() < 0.7 else ".".join(source.choices(WORDS, k=3))
        if source.random() < 0.2:
            parts = name.split(".")
            parts[source.randrange(len(parts))] = source.choice(WORDS)
            name = ".".join(parts)
        pairs.append(f"{name}={source.choice(VALUES)}")
    raw = bytearray("&".join(pairs).encode())
    for _ in range(source.choice((0, 0, 1, 3))):
        if raw:
            raw[source.randrange(len(raw))] = source.randrange(256)
    return bytes(raw)


def outcome(raw: bytes, shape: type[Structure]) -> Structure | ServiceError:
    try:
        return parse(parse_form(raw), shape)
    except ServiceError as error:
        return error


def test_any_form_ends_in_a_request_or_a_service_error() -> None:
    source = random.Random(20101201)
    names = {shape: names_of(shape) for shape in SHAPES}
    requests = 0
    for _ in range(ROUNDS):
        shape = source.choice(SHAPES)
        end = outcome(a_form(source, names[shape]), shape)
        if isinstance(end, ServiceError):
            assert end.code in ("MalformedInput", "MalformedQueryString", "ValidationError")
            render_error(end, "rid")
        else:
            requests += 1
            assert type(end) is shape
    assert requests > ROUNDS // 50


@pytest.mark.parametrize(
    "raw",
    [
        b"%41" * 1_000_000,
        b"A=" + b"%2B" * 1_000_000,
        b"&" * 3_000_000,
        b"." * 3_000_000 + b"=x",
        b"A." * 1_000_000,
        b"&".join(b"RuleNames.member.%d=" % i for i in range(1, 9_000)),
        b"&".join(b"RuleNames.member.%d=x" % (9_000 - i) for i in range(9_000)),
        b"RuleNames.member." + b"9" * 3_000_000 + b"=x",
        b"RuleSetName=" + b"a" * 3_000_000,
        b"=" * 3_000_000,
        b"+" * 3_000_000,
    ],
    ids=range(11),
)
def test_huge_forms_are_answered_shortly(raw: bytes) -> None:
    # Anything quadratic would take minutes here; linear work takes some 50 ms.
    end = outcome(raw, OPERATIONS["ReorderReceiptRuleSet"].request)
    assert not isinstance(end, ServiceError) or len(end.message) < 2_000
