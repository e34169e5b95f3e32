"""Addresses as the API takes them: SES's strict check and its words."""

import pytest

from posthouse.domain.addresses import check_address, parse_mailbox
from posthouse.model.errors import InvalidParameterValue


@pytest.mark.parametrize(
    ("text", "display", "address"),
    [
        ("ann@example.com", "", "ann@example.com"),
        ("Ann <ann@example.com>", "Ann", "ann@example.com"),
        ('"Ann, the first" <ann@example.com>', "Ann, the first", "ann@example.com"),
        ('"a \\" quote" <ann@example.com>', 'a " quote', "ann@example.com"),
        ('"has < angle" <ann@example.com>', "has < angle", "ann@example.com"),
        ("=?UTF-8?B?w4RubmE=?= <ann@example.com>", "=?UTF-8?B?w4RubmE=?=", "ann@example.com"),
        ("<ann@example.com>", "", "ann@example.com"),
        ("  ann@example.com ", "", "ann@example.com"),
        ('"a b"@example.com', "", '"a b"@example.com'),
        ("ann+tag=x@sub.example.com", "", "ann+tag=x@sub.example.com"),
        ("ann@localhost", "", "ann@localhost"),
        ("ann@[127.0.0.1]", "", "ann@[127.0.0.1]"),
        ("ann@xn--bcher-kva.example", "", "ann@xn--bcher-kva.example"),
    ],
)
def test_a_mailbox_is_read(text: str, display: str, address: str) -> None:
    mailbox = parse_mailbox(text)
    assert (mailbox.text, mailbox.display, mailbox.address) == (text, display, address)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("", "Invalid email address ."),
        (" ", "Invalid email address  ."),
        ("ann", "Missing final '@domain'"),
        ("Ann <ann>", "Missing final '@domain'"),
        ("ann@", "Missing domain"),
        ("ann@example.com.", "Missing domain"),
        ("@example.com", "Missing local name"),
        ("an n@example.com", "Local address contains control or whitespace"),
        ("änn@example.com", "Local address contains control or whitespace"),
        ("ann@exa mple.com", "Domain contains control or whitespace"),
        ("ann@exämple.com", "Domain contains control or whitespace"),
        ("ann@exa!mple.com", "Domain contains illegal character"),
        ("ann@exa_mple.com", "Domain contains illegal character"),
        ("ann@.example.com", "Domain starts with dot"),
        ("ann@example..com", "Domain contains dot-dot"),
        (".ann@example.com", "Local address starts with dot"),
        ("ann.@example.com", "Local address ends with dot"),
        ("a..b@example.com", "Local address contains dot-dot"),
        ("a,b@example.com", "Missing final '@domain'"),
        ("a@b@example.com", "Domain contains illegal character"),
        ("github:ann", "Local address contains illegal character"),
        ("not an address", "Local address contains control or whitespace"),
        ("Smith, Ann <ann@example.com>", "Missing final '@domain'"),
        ("ann@example.com, bob@example.com", "Illegal address"),
        ('"ann"bob@example.com', "Local address contains illegal character"),
        ('"ann"', "Missing final '@domain'"),
        ('"ann@example.com', "Missing final '@domain'"),
        ("Ann ann@example.com>", "Illegal address"),
        ("<a@example.com> <b@example.com>", "Domain contains illegal character"),
        ("ann@example.com\r\nBcc: eve@example.com", "Local address contains control or whitespace"),
        ("Ann\r\nBcc: eve@example.com <ann@example.com>", "Local address contains control or whitespace"),
        ("a\0nn@example.com", "Local address contains control or whitespace"),
        ('"a\tb"@example.com', "Local address contains control or whitespace"),
    ],
)
def test_what_is_wrong_is_said_in_the_words_of_ses(text: str, answer: str) -> None:
    with pytest.raises(InvalidParameterValue) as error:
        parse_mailbox(text)
    assert error.value.message == answer


def test_the_whole_text_counts_towards_320_characters() -> None:
    name = "x" * (320 - len(" <ann@example.com>"))
    parse_mailbox(f"{name} <ann@example.com>")
    with pytest.raises(InvalidParameterValue, match="Address length is more than 320 characters long: 'xx"):
        parse_mailbox(f"x{name} <ann@example.com>")


@pytest.mark.parametrize("control", "\r\n\t\0\x7f")
def test_no_control_stands_in_an_address_not_even_escaped_in_quotes(control: str) -> None:
    with pytest.raises(InvalidParameterValue, match="Local address contains control or whitespace"):
        check_address(f'"a\\{control}b"@example.com')


def test_the_length_is_that_of_the_name_in_quotes_where_it_needs_them() -> None:
    """Probed: as JavaMail prints an address, however it was written."""
    room = 320 - len(" <ann@example.com>")
    parse_mailbox(f'"{"x" * room}" <ann@example.com>')
    with pytest.raises(InvalidParameterValue, match="characters long: '\"x, x"):
        parse_mailbox(f'"x, {"x" * (room - 4)}" <ann@example.com>')


def test_commas_that_do_not_part_addresses() -> None:
    for text in ('"Smith, Ann" <ann@example.com>', "Ann (Smith, the first) <ann@example.com>", '"a,b"@example.com'):
        assert parse_mailbox(text).text == text
