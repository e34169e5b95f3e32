"""Return paths that name their message, and nobody else can write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.domain.message_ids import outgoing_id
from posthouse.mail.verp import read, sign

KEY = b"k" * 32
MESSAGE_ID = "0100018f3b2c4d5e-1a2b3c4d-1111-4222-a333-444455556666-000000"


def test_a_local_part_is_64_octets_and_begins_with_the_message_id() -> None:
    local_part = sign(MESSAGE_ID, KEY)
    assert len(local_part) == 64
    assert local_part.startswith(MESSAGE_ID[:-6])
    assert local_part[-10:].isalnum()


@given(st.integers(0, 2**47), st.binary(min_size=16, max_size=16))
def test_what_was_signed_is_read_back(at_ms: int, random: bytes) -> None:
    message_id = outgoing_id("us-east-1", at_ms, random)
    assert read(sign(message_id, KEY), KEY) == message_id


def test_upper_case_is_forgiven() -> None:
    assert read(sign(MESSAGE_ID, KEY).upper(), KEY) == MESSAGE_ID


def test_every_changed_character_is_noticed() -> None:
    local_part = sign(MESSAGE_ID, KEY)
    for position, char in enumerate(local_part):
        other = "b" if char == "a" else "a"
        assert read(local_part[:position] + other + local_part[position + 1 :], KEY) is None, position


def test_another_installations_signature_is_none() -> None:
    assert read(sign(MESSAGE_ID, b"x" * 32), KEY) is None


@pytest.mark.parametrize(
    "text",
    ["", "bob", MESSAGE_ID, sign(MESSAGE_ID, KEY)[:-1], sign(MESSAGE_ID, KEY) + "a", sign(MESSAGE_ID, KEY) + "\n"],
)
def test_other_local_parts_are_none(text: str) -> None:
    assert read(text, KEY) is None


def test_a_letter_that_only_lower_case_makes_ascii_is_none() -> None:
    ids = (outgoing_id("us-east-1", at_ms, bytes(16)) for at_ms in range(1000))
    with_k = next(part for part in (sign(each, KEY) for each in ids) if "k" in part)
    assert read(with_k.replace("k", "\N{KELVIN SIGN}"), KEY) is None


@given(st.text(max_size=80))
def test_no_text_breaks_reading(text: str) -> None:
    assert read(text, KEY) is None


def test_what_is_no_id_of_an_outgoing_message_is_not_signed() -> None:
    with pytest.raises(ValueError, match="not the id"):
        sign("o3vrnil0e2ic28trm7dfhrc2v0clambda4nbp0g1", KEY)
