"""Address lists of header fields."""

from email.utils import getaddresses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail import charsets, mailboxes
from posthouse.mail.mailboxes import Mailbox


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("a@b", [("", "a@b")]),
        ("Ann <a@b>, Bob Bee <c@d>", [("Ann", "a@b"), ("Bob Bee", "c@d")]),
        ('"Doe, John" <j@d>', [("Doe, John", "j@d")]),
        ('"a \\"q\\" b" <j@d>', [('a "q" b', "j@d")]),
        ("=?utf-8?q?Doe=2C?= =?utf-8?q?_J?= <j@d>, x@y", [("Doe, J", "j@d"), ("", "x@y")]),
        ("team: a@b, Bob <c@d>; , e@f", [("", "a@b"), ("Bob", "c@d"), ("", "e@f")]),
        ("undisclosed-recipients:;", []),
        ("a@b (Ann (the one))", [("Ann (the one)", "a@b")]),
        ("(note) Ann <a@b> (more)", [("Ann", "a@b")]),
        ('"a, b"@c', [("", '"a, b"@c')]),
        ('X <"a>b"@c>', [("X", '"a>b"@c')]),
        ("a@[1.2.3.4], b@[IPv6:::1]", [("", "a@[1.2.3.4]"), ("", "b@[IPv6:::1]")]),
        (", a@b,, c@d,", [("", "a@b"), ("", "c@d")]),
        ("", []),
        ("<>", [("", "")]),
    ],
)
def test_lists_as_senders_write_them(value: str, found: list[tuple[str, str]]) -> None:
    assert mailboxes.parse(value) == [Mailbox(*each) for each in found]


@pytest.mark.parametrize(
    "value",
    [
        "a@b c@d",
        "Ann <a@b> <c@d>",
        "Ann <a@b> junk",
        '"never closed <a@b>',
        "Ann <a@b",
        "a@b (never closed",
        "a@b:c@d",
        "junk",
    ],
)
def test_what_fits_no_form_comes_out_whole_for_the_address_check_to_refuse(value: str) -> None:
    assert mailboxes.parse(value) == [Mailbox("", value)]


def test_an_address_before_a_colon_does_not_vanish_as_a_group_name() -> None:
    assert mailboxes.parse("evil@x.example: good@y.example, c@d")[0].address == "evil@x.example: good@y.example"


def test_a_display_name_that_decodes_to_an_address_stays_a_display_name() -> None:
    assert mailboxes.parse("=?utf-8?q?x=40y=2E?= <a@b>") == [Mailbox("x@y.", "a@b")]


NAMES = st.text(st.sampled_from('aé日 ",<>@;:()\\\r\n\0.=?[]'), max_size=30)


@given(NAMES)
def test_a_written_mailbox_is_read_as_the_same_one(name: str) -> None:
    written = mailboxes.write(name, "a@b.example")
    assert not set("\r\n\0") & set(written)
    ((display, address),) = mailboxes.parse(written)
    assert address == "a@b.example"
    assert display.split() == name.replace("\0", " ").split()


@given(NAMES.filter(str.isascii))
def test_the_stdlib_reads_our_mailboxes(name: str) -> None:
    assert [address for _, address in getaddresses([mailboxes.write(name, "a@b.example")])] == ["a@b.example"]


def test_an_address_beyond_ascii_is_refused() -> None:
    with pytest.raises(charsets.Unencodable):
        mailboxes.write("x", "jörg@b.example")
    with pytest.raises(charsets.Unencodable):
        mailboxes.as_given("jörg@b.example")


@pytest.mark.parametrize(
    ("given_", "written"),
    [
        ("a@b", "a@b"),
        ("Ann <a@b>", "Ann <a@b>"),
        ("=?utf-8?q?J=C3=B6rg?= <a@b>", "=?utf-8?q?J=C3=B6rg?= <a@b>"),
        ('"Doe, J" <a@b>', '"Doe, J" <a@b>'),
        ("Doe, J <a@b>", '"Doe, J" <a@b>'),
        ("Jörg <a@b>", "=?UTF-8?B?SsO2cmc=?= <a@b>"),
        ("evil@x, Bob <a@b>", '"evil@x, Bob" <a@b>'),
        ("a@b\r\nBcc: c@d", "a@b Bcc: c@d"),
    ],
)
def test_a_callers_address_stays_one_mailbox_in_a_header(given_: str, written: str) -> None:
    assert mailboxes.as_given(given_) == written
    assert len(mailboxes.parse(written)) == 1


def test_lists_are_folded_between_mailboxes() -> None:
    given_ = [f"Recipient {n} <r{n}@example.com>" for n in range(50)]
    value = mailboxes.join(given_, 4)
    assert max(map(len, value.split("\r\n"))) <= 76
    assert [each.address for each in mailboxes.parse(value.replace("\r\n", ""))] == [
        f"r{n}@example.com" for n in range(50)
    ]


def test_a_mailbox_longer_than_a_line_is_folded_inside() -> None:
    value = mailboxes.join(["a@b", mailboxes.write("é" * 100, "c@d"), "e@f"], 4)
    assert max(map(len, value.split("\r\n"))) <= 77
    assert mailboxes.parse(value.replace("\r\n", ""))[1] == Mailbox("é" * 100, "c@d")


@pytest.mark.parametrize("piece", ['"', '"\\', "(", "(\\", "<", '<"', "[", "a:", '\\"', ",;", "=?utf-8?q?", "<a@b>"])
def test_a_hostile_list_takes_linear_time(piece: str) -> None:
    assert mailboxes.parse(piece * 200_000) is not None


@pytest.mark.parametrize("value", ["<a@b>\x85", "a@b\u2028", "\x1fa@b", "<a@b\x85>", "x <a@b> \u2003"])
def test_what_is_no_blank_in_a_header_does_not_vanish_beside_an_address(value: str) -> None:
    assert [each.address for each in mailboxes.parse(value)] != ["a@b"]
