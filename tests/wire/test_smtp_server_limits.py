"""Lines, sizes, counts: what ServerProtocol does at and beyond its limits."""

from dataclasses import replace

import pytest
from tests.wire.smtp_server_player import OFFER, in_transaction, play

from posthouse.wire.smtp_reply import reply
from posthouse.wire.smtp_server import MAX_AUTH_LINE, MAX_ENVELOPE_LINE, MAX_LINE


def line_of(start: bytes, octets: int) -> bytes:
    return start + b"x" * (octets - len(start) - 2) + b"\r\n"


@pytest.mark.parametrize(
    ("start", "limit", "good"),
    [(b"NOOP ", MAX_LINE, 250), (b"MAIL ", MAX_ENVELOPE_LINE, 501), (b"RCPT ", MAX_ENVELOPE_LINE, 503)],
)
def test_line_at_the_limit_is_read_and_one_octet_more_is_not(start: bytes, limit: int, good: int) -> None:
    for split in (1, 10_000):
        for line, code in ((line_of(start, limit), good), (line_of(start, limit + 1), 500)):
            sent = b"HELO x\r\n" + line + b"NOOP\r\n"
            pieces = (sent[at : at + split] for at in range(0, len(sent), split))
            assert play(*pieces).codes() == [250, code, 250]


def test_endless_line_is_not_kept() -> None:
    player = play(b"NOOP " + b"x" * 10_000)
    for _ in range(100):
        player.hear(b"x" * 10_000)
    assert len(player.protocol._buffer) - player.protocol._at <= 1
    assert player.protocol.stage == "line"
    assert player.hear(b"\r").hear(b"\nNOOP\r\n").codes() == [500, 250]


def test_bare_lf_in_a_line_that_is_too_long_does_not_end_it() -> None:
    sent = b"NOOP " + b"x" * 600 + b"\nNOOP\r\nNOOP\r\n"
    assert play(sent).codes() == [500, 250]
    assert play(*(sent[i : i + 1] for i in range(len(sent)))).codes() == [500, 250]


def test_bare_lf_does_not_end_a_command_and_closes() -> None:
    player = play(b"HELO x\nNOOP\r\n")
    assert player.codes() == [500]
    assert player.protocol.closed
    assert not player.protocol.said_quit


def test_authentication_line_may_be_long_but_not_longer() -> None:
    opening = b"EHLO x\r\nAUTH PLAIN\r\n"
    assert play(opening + line_of(b"", MAX_AUTH_LINE)).codes()[-1] == 501
    assert play(opening + line_of(b"", MAX_AUTH_LINE + 1) + b"NOOP\r\n").codes()[-2:] == [500, 250]
    assert play(b"EHLO x\r\n" + line_of(b"AUTH PLAIN ", MAX_AUTH_LINE)).codes()[-1] == 501


def test_declared_size_beyond_the_limit_is_refused_at_mail() -> None:
    assert play(b"EHLO x\r\nMAIL FROM:<a@b.example> SIZE=1000\r\n").codes() == [250, 250]
    player = play(b"EHLO x\r\nMAIL FROM:<a@b.example> SIZE=1001\r\n")
    assert player.said.endswith(b"552 Message is too long.\r\n")


def test_recipient_beyond_the_limit_is_452_and_the_others_stand() -> None:
    player = play(
        b"EHLO x\r\nMAIL FROM:<a@b.example>\r\n",
        *(b"RCPT TO:<u%d@d.example>\r\n" % i for i in range(3)),
        b"DATA\r\n.\r\n",
        offer=replace(OFFER, max_recipients=2),
    )
    assert player.codes()[2:] == [250, 250, 452, 354, 250]
    assert [rcpt.path for rcpt in player.messages[0].rcpts] == ["u0@d.example", "u1@d.example"]


def test_too_many_bad_commands_close_the_connection() -> None:
    player = play(b"NONSENSE\r\n" * 10 + b"QUIT\r\n", offer=replace(OFFER, max_errors=3))
    assert player.codes() == [500, 500, 500, 421]
    assert player.protocol.closed


def test_failed_logins_count_as_bad_commands() -> None:
    player = play(b"EHLO x\r\n" + b"AUTH PLAIN AGdvb2QAd3Jvbmc=\r\n" * 9, offer=replace(OFFER, max_errors=2))
    assert player.codes()[1:] == [535, 535, 421]


def test_a_fourth_guess_at_a_password_is_not_even_looked_at() -> None:
    player = play(b"EHLO x\r\n" + b"AUTH PLAIN AGdvb2QAd3Jvbmc=\r\n" * 3 + b"AUTH PLAIN AGdvb2QAc2VjcmV0\r\n")
    assert player.codes()[1:] == [535, 535, 535, 421]
    assert player.protocol.closed
    assert player.log == ["login good wrong"] * 3


def test_starttls_does_not_forgive_failed_logins() -> None:
    player = play(b"EHLO x\r\n" + b"AUTH PLAIN AGdvb2QAd3Jvbmc=\r\n" * 3 + b"STARTTLS\r\n")
    assert player.hear(b"EHLO x\r\nAUTH PLAIN AGdvb2QAc2VjcmV0\r\n").codes()[-1] == 421


def test_a_door_may_have_its_own_words_for_what_is_no_mailbox() -> None:
    own = replace(OFFER, invalid_sender=reply(501, "no sender"), invalid_recipient=reply(501, "no recipient"))
    said = b"EHLO x\r\nMAIL FROM:<user>\r\nMAIL FROM:<>\r\nMAIL FROM:<a@b.example> X=y\r\nMAIL FROM:<a@b.example>\r\n"
    said += b"RCPT TO:<user>\r\nRCPT TO:<a@b.example> NOTIFY=NEVER\r\n"
    assert play(said, offer=own).codes() == [250, 501, 501, 555, 250, 501, 555]
    assert b"501 no sender\r\n501 no sender\r\n" in play(said, offer=own).said
    assert play(said).codes() == [250, 553, 250, 503, 503, 553, 555]


def test_commands_that_bring_no_message_close_the_connection_in_the_end() -> None:
    player = play(b"NOOP\r\n" * 9, offer=replace(OFFER, max_idle_commands=3))
    assert player.codes() == [250, 250, 250, 421]


def test_a_message_forgives_earlier_idle_commands() -> None:
    offer = replace(OFFER, max_idle_commands=4)
    player = in_transaction(b".\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\n", offer=offer)
    assert player.codes()[-4:] == [250] * 4


def test_dead_recipients_of_a_long_list_do_not_count_as_errors() -> None:
    player = play(b"EHLO x\r\nMAIL FROM:<a@b.example>\r\n" + b"RCPT TO:<nobody@d.example>\r\n" * 100)
    assert player.codes()[2:] == [550] * 100


def test_ehlo_keeps_the_login_and_ends_the_transaction() -> None:
    player = play(
        b"EHLO x\r\nAUTH PLAIN AGdvb2QAc2VjcmV0\r\nMAIL FROM:<a@b.example>\r\nEHLO y\r\nRCPT TO:<c@d.example>\r\n"
    )
    assert player.protocol.user == "good"
    assert player.codes()[-1] == 503


def test_authentication_is_not_offered_before_tls_where_it_needs_tls() -> None:
    player = play(b"EHLO x\r\nAUTH PLAIN AGdvb2QAc2VjcmV0\r\n", offer=replace(OFFER, auth="over_tls"))
    assert b"AUTH" not in player.said.split(b"250 Ok")[0]
    assert player.said.endswith(b"530 Must issue a STARTTLS command first\r\n")
    assert player.log == []
    player.hear(b"STARTTLS\r\n").hear(b"EHLO x\r\nAUTH PLAIN AGdvb2QAc2VjcmV0\r\n")
    assert b"250-AUTH PLAIN LOGIN" in player.said
    assert player.codes()[-1] == 235


def test_door_without_authentication_or_tls_knows_neither_command() -> None:
    player = play(b"EHLO x\r\nAUTH PLAIN\r\nSTARTTLS\r\n", offer=replace(OFFER, auth="never", starttls=False))
    assert player.codes() == [250, 502, 502]


def test_bytes_sent_before_the_handshake_are_forgotten() -> None:
    player = play(
        b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRSET\r\nSTARTTLS\r\nEHLO injected\r\nMAIL FROM:<x@y.example>\r\n"
    )
    assert player.codes() == [250, 250, 250, 220]
    assert player.protocol.client_name == ""
    assert player.hear(b"MAIL FROM:<x@y.example>\r\n").codes()[-1] == 503


@pytest.mark.parametrize(
    ("opening", "name"),
    [
        (b"HELO x\r\n", "SMTP"),
        (b"EHLO x\r\n", "ESMTP"),
        (b"EHLO x\r\nAUTH PLAIN AGdvb2QAc2VjcmV0\r\n", "ESMTPA"),
    ],
)
def test_protocol_is_named_as_rfc_3848_wants(opening: bytes, name: str) -> None:
    assert play(opening).protocol.protocol_name == name
    player = play(b"EHLO x\r\nSTARTTLS\r\n").hear(opening)
    assert player.protocol.protocol_name == name.replace("ESMTP", "ESMTPS")
