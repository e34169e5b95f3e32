"""Where a message ends, and what is refused for pretending that it ends elsewhere (RFC 5321 4.1.1.4)."""

import itertools
import re
from dataclasses import replace

import pytest
from tests.wire.smtp_server_player import OFFER, in_transaction

from posthouse.wire.smtp_body import Body
from posthouse.wire.smtp_reply import reply
from posthouse.wire.smtp_transaction import wire_form

LINE_ENDS = (b"\r\n", b"\n", b"\r")
FALSE_ENDS = [
    before + dots + after
    for before, dots, after in itertools.product(LINE_ENDS, (b".", b".."), LINE_ENDS)
    if (before, after) != (b"\r\n", b"\r\n")
] + [b"\r\n.\r\r\n", b"\r\n\r.\r\n", b"\r\n\n.\r\n", b"\r\r\n.\n", b"\r\n.\n\r\n", b"\n\r.\n\r"]


@pytest.mark.parametrize("false_end", FALSE_ENDS)
def test_dot_between_line_ends_that_are_not_both_crlf_is_refused_after_the_real_end(false_end: bytes) -> None:
    smuggled = b"one" + false_end + b"MAIL FROM:<x@y.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\ntwo\r\n.\r\nNOOP\r\n"
    whole = in_transaction(smuggled)
    assert whole.messages == []
    assert whole.codes()[-3:] == [354, 550, 250]
    by_byte = in_transaction(*(smuggled[i : i + 1] for i in range(len(smuggled))))
    assert by_byte.said == whole.said


@pytest.mark.parametrize("any_line_end", [rb"\r\n|\n|\r", rb"\r\n|\n\r|\n|\r"])
def test_no_short_text_ends_elsewhere_for_any_reader_neither_here_nor_at_the_next_server(any_line_end: bytes) -> None:
    for length in range(7):
        for text in itertools.product(b"\r\n.x", repeat=length):
            sent = bytes(text) + b"\r\n.\r\n"
            body, by_byte = Body(1000, "accept"), Body(1000, "accept")
            end = body.take(sent, 0)
            ends = [at for at in range(end) if by_byte.take(sent[at : at + 1], 0) >= 0]
            assert (ends, by_byte.refusal, by_byte.content) == ([end - 1], body.refusal, body.content), sent
            if body.refusal is None:
                for on_the_wire in (sent[:end], wire_form(body.content)):
                    lines = re.split(any_line_end, on_the_wire)
                    assert lines.index(b".") == len(lines) - 2, sent


@pytest.mark.parametrize("first_line", [b".\n", b".\rx", b"..\n", b"..\rx", b".\r.\r\n", b".\n\r\n"])
def test_false_end_as_the_first_line_of_a_message_is_refused(first_line: bytes) -> None:
    player = in_transaction(first_line + b"x\r\n.\r\nNOOP\r\n")
    assert player.messages == []
    assert player.codes()[-2:] == [550, 250]


def test_false_end_is_known_before_the_real_end() -> None:
    player = in_transaction(b"one\n.\nMAIL FROM:<x@y.example>\r\n")
    assert player.protocol.stage == "refused"
    assert player.protocol.refusal is not None
    assert player.protocol.refusal.code == 550
    assert player.codes()[-1] == 354


def test_half_of_the_real_end_is_no_false_end() -> None:
    player = in_transaction(b"one\r\n.\r")
    assert player.protocol.refusal is None
    assert player.hear(b"\n").messages[0].content == b"one\r\n"


@pytest.mark.parametrize(
    ("sent", "content"),
    [
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\r\n"),
        (b"..\r\n.\r\n", b".\r\n"),
        (b"x\r\n..\r\n.\r\n", b"x\r\n.\r\n"),
        (b"x\r\n...\r\n....\r\n.\r\n", b"x\r\n..\r\n...\r\n"),
        (b".x\r\n.y.\r\n.\r\n", b"x\r\ny.\r\n"),
        (b"a.\r\n.\r\n", b"a.\r\n"),
        (b"\xff\x80 eight bit \xc3\xa9\r\n.\r\n", b"\xff\x80 eight bit \xc3\xa9\r\n"),
        (b"\x0b\x0c\x1c\x85\xe2\x80\xa8.\r\n.\r\n", b"\x0b\x0c\x1c\x85\xe2\x80\xa8.\r\n"),
    ],
)
def test_dots_are_unstuffed_and_nothing_else_is_changed(sent: bytes, content: bytes) -> None:
    assert in_transaction(sent).messages[0].content == content
    by_byte = in_transaction(*(sent[i : i + 1] for i in range(len(sent))))
    assert by_byte.messages[0].content == content


def test_bare_newlines_away_from_dots_are_kept_as_they_are_by_default() -> None:
    sent = b"To: x\nSubject: y\n\na\rb.\nc\r\n.\r\n"
    assert in_transaction(sent).messages[0].content == sent[:-3]


@pytest.mark.parametrize("sent", [b"a\nb\r\n.\r\n", b"a\rb\r\n.\r\n", b"a\r\r\n.\r\n", b"\na\r\n.\r\n"])
def test_bare_newlines_are_refused_where_the_offer_says_so(sent: bytes) -> None:
    player = in_transaction(sent, b"NOOP\r\n", offer=replace(OFFER, bare_newlines="refuse"))
    assert player.codes()[-2:] == [550, 250]


def test_strict_offer_takes_clean_messages() -> None:
    player = in_transaction(b"a\r\n\r\nb\r\n.\r\n", offer=replace(OFFER, bare_newlines="refuse"))
    assert player.messages[0].content == b"a\r\n\r\nb\r\n"


def test_nul_in_a_message_is_refused() -> None:
    assert in_transaction(b"a\0b\r\n.\r\n", b"NOOP\r\n").codes()[-2:] == [550, 250]
    assert in_transaction(b"a\r\n\0.\r\n.\r\n").messages == []


def test_message_of_exactly_the_size_limit_is_taken_even_when_stuffed() -> None:
    content = b"." + b"x" * 997 + b"\r\n"
    assert in_transaction(b"." + content + b".\r\n").messages[0].content == content


@pytest.mark.parametrize("pieces", [1, 7, 1200])
def test_message_over_the_size_limit_is_552_at_its_end_and_the_session_goes_on(pieces: int) -> None:
    sent = b"x" * 999 + b"\r\n.\r\nNOOP\r\n"
    step = len(sent) // pieces + 1
    player = in_transaction(*(sent[at : at + step] for at in range(0, len(sent), step)))
    assert player.messages == []
    assert player.said.endswith(b"552 Message is too long.\r\n250 2.0.0 Ok\r\n")


def test_memory_stays_bounded_while_a_message_is_too_long() -> None:
    player = in_transaction()
    for _ in range(100):
        player.hear(b"x" * 1000)
        assert player.protocol.held <= 1000 + 1000 // 3 + 4096 + 1000
    assert player.protocol.stage == "refused"
    assert player.protocol.held < 10


@pytest.mark.parametrize(("before", "code"), [(5000, 550), (6000, 552)])
def test_message_too_long_with_a_false_end_is_refused_alike_however_it_comes(before: int, code: int) -> None:
    sent = b"x" * before + b"\n.\n" + b"y" * 3000 + b"\r\n.\r\n"
    for step in (1, 100, 5500, len(sent)):
        player = in_transaction(*(sent[at : at + step] for at in range(0, len(sent), step)))
        assert player.codes()[-1] == code


def test_message_without_end_closes_the_connection() -> None:
    player = in_transaction()
    for _ in range(30):
        player.hear(b"x" * 50_000)
    assert player.protocol.closed
    assert player.codes()[-1] == 552


def test_message_given_up_from_outside_is_refused_at_its_end() -> None:
    player = in_transaction(b"some text\r\n")
    player.protocol.refuse_message(reply(452, "no room", "4.3.1"))
    assert player.protocol.held < 10
    assert player.hear(b"more\r\n.\r\nNOOP\r\n").codes()[-2:] == [452, 250]


def test_large_body_in_many_pieces_costs_linear_time() -> None:
    # Quadratic work on 40,000 pieces would be felt: each piece would search, or copy, all that came before.
    body = Body(50_000_000, "accept")
    piece = (b"." + b"y" * 61 + b"\r\n") * 16
    assert all(body.take(piece, 0) < 0 for _ in range(20_000))
    assert body.take(b".\r\n", 0) == 3
    assert len(body.content) == 20_000 * 16 * 63
