"""Golden conversations of the SMTP client, whole and split at every byte; then its corners, one by one."""

import base64

import pytest

from posthouse.wire.smtp_client import MAX_REPLY, ClientProtocol
from posthouse.wire.smtp_reply import reply
from posthouse.wire.smtp_transaction import Answer, Envelope, Failed, Finished, Ready, Stage, StartTls, wire_form

CONTENT = b"Subject: x\r\n\r\nHello\r\n.dot\r\n"
STUFFED = b"Subject: x\r\n\r\nHello\r\n..dot\r\n.\r\n"
ONE = Envelope("a@ex.org", ("b@ex.net",), CONTENT)
TWO = Envelope("a@ex.org", ("b@ex.net", "c@ex.net"), CONTENT)

HELLO = [("S", b"220 mx ESMTP\r\n"), ("C", b"EHLO me.example\r\n")]
PLAIN = [*HELLO, ("S", b"250 mx\r\n")]
PIPELINED = [*HELLO, ("S", b"250-mx\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 1000\r\n")]

Step = tuple[str, bytes]


def feed(proto: ClientProtocol, data: bytes, size: int) -> None:
    for i in range(0, len(data), size):
        proto.receive(data[i : i + size])


def play(steps: list[Step], envelope: Envelope | None, *, size: int = 10**9, lmtp: bool = False) -> ClientProtocol:
    """Runs a conversation; what the client writes must be exactly the C steps. Sends the envelope once Ready."""
    proto = ClientProtocol("me.example", lmtp=lmtp)
    written = b""
    for who, data in steps:
        if who == "S":
            feed(proto, data, size)
            event = proto._events[0] if proto._events else None
            if isinstance(event, Ready):
                proto.next_event()
                if envelope is not None:
                    proto.send(envelope)
            written += proto.data_to_send()
        else:
            assert written[: len(data)] == data
            written = written[len(data) :]
    assert written == b""
    return proto


def finished(proto: ClientProtocol) -> Finished:
    event = proto.next_event()
    assert isinstance(event, Finished)
    assert proto.next_event() is None
    return event


def verdicts(event: Finished) -> list[tuple[str, Stage, str]]:
    return [(a.recipient, a.stage, str(a.reply)) for a in event.answers]


ENVELOPE_ONE = b"MAIL FROM:<a@ex.org> SIZE=27\r\nRCPT TO:<b@ex.net>\r\nDATA\r\n"
ENVELOPE_TWO = b"MAIL FROM:<a@ex.org> SIZE=27\r\nRCPT TO:<b@ex.net>\r\nRCPT TO:<c@ex.net>\r\nDATA\r\n"

GOLDEN: dict[str, tuple[list[Step], Envelope, bool, list[tuple[str, Stage, str]], bool]] = {
    "one recipient, one command at a time": (
        [
            *PLAIN,
            ("C", b"MAIL FROM:<a@ex.org>\r\n"),
            ("S", b"250 ok\r\n"),
            ("C", b"RCPT TO:<b@ex.net>\r\n"),
            ("S", b"250 ok\r\n"),
            ("C", b"DATA\r\n"),
            ("S", b"354 go\r\n"),
            ("C", STUFFED),
            ("S", b"250 2.0.0 queued as 1\r\n"),
        ],
        ONE,
        False,
        [("b@ex.net", Stage.BODY, "250 2.0.0 queued as 1")],
        True,
    ),
    "envelope and DATA in one write": (
        [
            *PIPELINED,
            ("C", ENVELOPE_TWO),
            ("S", b"250 ok\r\n250 ok\r\n550 5.1.1 nobody\r\n354 go\r\n"),
            ("C", STUFFED),
            ("S", b"250-2.0.0 queued\r\n250 2.0.0 as 1\r\n"),
        ],
        TWO,
        False,
        [("b@ex.net", Stage.BODY, "250 2.0.0 queued as 1"), ("c@ex.net", Stage.RCPT, "550 5.1.1 nobody")],
        True,
    ),
    "an old server without EHLO": (
        [
            *HELLO,
            ("S", b"502 what?\r\n"),
            ("C", b"HELO me.example\r\n"),
            ("S", b"250 hi\r\n"),
            ("C", b"MAIL FROM:<a@ex.org>\r\n"),
            ("S", b"451 4.7.1 greylisted\r\n"),
        ],
        TWO,
        False,
        [("b@ex.net", Stage.MAIL, "451 4.7.1 greylisted"), ("c@ex.net", Stage.MAIL, "451 4.7.1 greylisted")],
        True,
    ),
    "MAIL refused with all the rest under way": (
        [
            *PIPELINED,
            ("C", ENVELOPE_TWO),
            ("S", b"550 5.7.1 no\r\n503 bad\r\n503 bad\r\n503 bad\r\n"),
        ],
        TWO,
        False,
        [("b@ex.net", Stage.MAIL, "550 5.7.1 no"), ("c@ex.net", Stage.MAIL, "550 5.7.1 no")],
        True,
    ),
    "every recipient refused, DATA answered 354 all the same": (
        [
            *PIPELINED,
            ("C", ENVELOPE_TWO),
            ("S", b"250 ok\r\n550 no b\r\n450 4.2.0 later c\r\n354 go\r\n"),
            ("C", b".\r\n"),
            ("S", b"250 empty message taken\r\n"),
        ],
        TWO,
        False,
        [("b@ex.net", Stage.RCPT, "550 no b"), ("c@ex.net", Stage.RCPT, "450 4.2.0 later c")],
        True,
    ),
    "every recipient refused, one command at a time: no DATA": (
        [
            *PLAIN,
            ("C", b"MAIL FROM:<a@ex.org>\r\n"),
            ("S", b"250 ok\r\n"),
            ("C", b"RCPT TO:<b@ex.net>\r\n"),
            ("S", b"550 no\r\n"),
        ],
        ONE,
        False,
        [("b@ex.net", Stage.RCPT, "550 no")],
        True,
    ),
    "DATA refused": (
        [*PIPELINED, ("C", ENVELOPE_ONE), ("S", b"250 ok\r\n250 ok\r\n451 4.3.0 no room\r\n")],
        ONE,
        False,
        [("b@ex.net", Stage.DATA, "451 4.3.0 no room")],
        True,
    ),
    "421 in the midst of the envelope": (
        [*PIPELINED, ("C", ENVELOPE_TWO), ("S", b"250 ok\r\n550 5.1.1 nobody\r\n421 4.3.2 shutting down\r\n")],
        TWO,
        False,
        [("b@ex.net", Stage.RCPT, "550 5.1.1 nobody"), ("c@ex.net", Stage.RCPT, "421 4.3.2 shutting down")],
        False,
    ),
    "LMTP: one answer for each accepted recipient": (
        [
            ("S", b"220 store LMTP\r\n"),
            ("C", b"LHLO me.example\r\n"),
            ("S", b"250-store\r\n250 PIPELINING\r\n"),
            (
                "C",
                b"MAIL FROM:<a@ex.org>\r\nRCPT TO:<b@ex.net>\r\nRCPT TO:<c@ex.net>\r\nRCPT TO:<d@ex.net>\r\nDATA\r\n",
            ),
            ("S", b"250 ok\r\n250 ok\r\n550 no c\r\n250 ok\r\n354 go\r\n"),
            ("C", STUFFED),
            ("S", b"250 kept for b\r\n452 4.2.2 d is full\r\n"),
        ],
        Envelope("a@ex.org", ("b@ex.net", "c@ex.net", "d@ex.net"), CONTENT),
        True,
        [
            ("b@ex.net", Stage.BODY, "250 kept for b"),
            ("c@ex.net", Stage.RCPT, "550 no c"),
            ("d@ex.net", Stage.BODY, "452 4.2.2 d is full"),
        ],
        True,
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 10**9])
def test_golden_conversation_in_pieces_of_any_size(name: str, size: int) -> None:
    steps, envelope, lmtp, expected, reusable = GOLDEN[name]
    event = finished(play(steps, envelope, size=size, lmtp=lmtp))
    assert verdicts(event) == expected
    assert event.reusable is reusable


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_conversation_split_once_at_every_byte(name: str) -> None:
    steps, envelope, lmtp, expected, _ = GOLDEN[name]
    for index, (who, data) in enumerate(steps):
        if who == "S":
            for cut in range(1, len(data)):
                split = [*steps[:index], ("S", data[:cut]), ("S", data[cut:]), *steps[index + 1 :]]
                # The client may answer the first part already: order of C steps then differs, bytes do not.
                proto = ClientProtocol("me.example", lmtp=lmtp)
                for step in split:
                    if step[0] == "S":
                        proto.receive(step[1])
                        if proto._events and isinstance(proto._events[0], Ready):
                            proto.next_event()
                            proto.send(envelope)
                assert verdicts(finished(proto)) == expected


def ready(offer: bytes = b"250-mx\r\n250 PIPELINING\r\n") -> ClientProtocol:
    proto = ClientProtocol("me.example")
    proto.receive(b"220 mx\r\n")
    proto.receive(offer)
    assert isinstance(proto.next_event(), Ready)
    proto.data_to_send()
    proto.take_conversation()
    return proto


def test_a_failed_transaction_is_reset_before_the_next() -> None:
    proto = ready()
    proto.send(ONE)
    proto.receive(b"250 ok\r\n550 no\r\n503 no recipients\r\n")
    assert finished(proto).reusable
    proto.data_to_send()
    proto.send(ONE)
    assert proto.data_to_send() == b"RSET\r\nMAIL FROM:<a@ex.org>\r\nRCPT TO:<b@ex.net>\r\nDATA\r\n"
    proto.receive(b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 done\r\n")
    assert verdicts(finished(proto)) == [("b@ex.net", Stage.BODY, "250 done")]


def test_a_delivered_message_needs_no_reset() -> None:
    proto = ready()
    for _ in range(2):
        proto.send(ONE)
        assert proto.data_to_send().startswith(b"MAIL")
        proto.receive(b"250 ok\r\n250 ok\r\n354 go\r\n")
        proto.receive(b"250 done\r\n")
        assert finished(proto).reusable
        proto.data_to_send()


def test_a_refused_reset_ends_the_session_before_anything_was_sent() -> None:
    proto = ready()
    proto.send(ONE)
    proto.receive(b"250 ok\r\n550 no\r\n503 no recipients\r\n")
    finished(proto)
    proto.send(ONE)
    proto.receive(b"500 what\r\n")
    event = finished(proto)
    assert (event.answers[0].stage, event.reusable) == (Stage.RSET, False)


def test_eight_bit_content_is_declared_where_the_server_offers_it() -> None:
    envelope = Envelope("", ("b@ex.net",), b"\xc3\xa4\r\n", eight_bit=True)
    proto = ready(b"250-mx\r\n250-8bitmime\r\n250 PIPELINING\r\n")
    proto.send(envelope)
    assert proto.data_to_send().startswith(b"MAIL FROM:<> BODY=8BITMIME\r\n")
    proto = ready()
    proto.send(envelope)
    assert proto.data_to_send().startswith(b"MAIL FROM:<>\r\n")


def test_a_message_above_the_servers_size_is_not_offered_to_it() -> None:
    proto = ready(b"250-mx\r\n250 SIZE 20\r\n")
    proto.send(ONE)
    assert proto.data_to_send() == b""
    [answer] = finished(proto).answers
    assert (answer.reply.code, answer.reply.enhanced) == (552, "5.3.4")


@pytest.mark.parametrize("size", [b"SIZE", b"SIZE 0", b"SIZE 1_0", b"SIZE ten", b"SIZE -1"])
def test_size_without_a_limit_is_no_limit(size: bytes) -> None:
    proto = ready(b"250-mx\r\n250 " + size + b"\r\n")
    proto.send(ONE)
    assert proto.data_to_send() == b"MAIL FROM:<a@ex.org> SIZE=27\r\n"


@pytest.mark.parametrize("bad", ["b@ex.net>\r\nDATA", "b\n@ex.net", "b c@ex.net", "bä@ex.net", "", "b@ex.net\0"])
def test_an_address_that_would_leave_its_brackets_is_never_sent(bad: str) -> None:
    proto = ready()
    proto.send(Envelope("a@ex.org", (bad, "good@ex.net"), CONTENT))
    assert proto.data_to_send() == b"MAIL FROM:<a@ex.org>\r\nRCPT TO:<good@ex.net>\r\nDATA\r\n"
    proto.receive(b"250 ok\r\n250 ok\r\n354 go\r\n250 done\r\n")
    first, second = finished(proto).answers
    assert (first.recipient, first.reply.code) == (bad, 553)
    assert second.reply.code == 250
    proto = ready()
    proto.send(Envelope("a@ex.org", (bad,), CONTENT))
    assert proto.data_to_send() == b""
    assert finished(proto).reusable
    if bad:  # the empty sender is a good one
        proto.send(Envelope(bad, ("good@ex.net",), CONTENT))
        assert proto.data_to_send() == b""
        assert finished(proto).answers[0].reply.enhanced == "5.1.7"


def test_a_quoted_local_part_may_hold_brackets() -> None:
    proto = ready()
    proto.send(Envelope("", ('"a> b\\""@ex.net',), CONTENT))
    assert b'RCPT TO:<"a> b\\""@ex.net>\r\n' in proto.data_to_send()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", b"\r\n.\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b"a\r\n", b"a\r\n.\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b"a\r\n.\r\n.b\r\n", b"a\r\n..\r\n..b\r\n.\r\n"),
        (b"a\n.\nb\r.\r\n", b"a\r\n..\r\nb\r\n..\r\n.\r\n"),
        (b"a\r", b"a\r\n.\r\n"),
    ],
)
def test_content_on_the_wire_ends_only_at_its_end(content: bytes, expected: bytes) -> None:
    assert wire_form(content) == expected


def test_starttls_forgets_what_was_offered_in_the_clear() -> None:
    proto = ready(b"250-mx\r\n250-PIPELINING\r\n250 STARTTLS\r\n")
    proto.start_tls()
    assert proto.data_to_send() == b"STARTTLS\r\n"
    proto.receive(b"220 go\r\n")
    assert proto.next_event() == StartTls()
    proto.tls_started()
    assert proto.extensions == {}
    assert proto.data_to_send() == b"EHLO me.example\r\n"
    proto.receive(b"250-mx\r\n250 AUTH PLAIN\r\n")
    assert isinstance(proto.next_event(), Ready)
    assert proto.extensions == {"AUTH": "PLAIN"}


@pytest.mark.parametrize("together", [True, False])
def test_bytes_after_the_answer_to_starttls_are_an_injection(together: bool) -> None:
    proto = ready(b"250-mx\r\n250 STARTTLS\r\n")
    proto.start_tls()
    injected = b"250 AUTH PLAIN\r\n"
    if together:
        proto.receive(b"220 go\r\n" + injected)
    else:
        proto.receive(b"220 go\r\n")
        assert proto.next_event() == StartTls()
        proto.receive(injected)
        proto.tls_started()
    event = proto.next_event()
    assert isinstance(event, Failed)
    assert event.stage in (Stage.STARTTLS, Stage.EHLO)


def test_a_refused_starttls_fails() -> None:
    proto = ready(b"250-mx\r\n250 STARTTLS\r\n")
    proto.start_tls()
    proto.receive(b"454 4.7.0 not now\r\n")
    event = proto.next_event()
    assert isinstance(event, Failed)
    assert (event.stage, event.reply.code) == (Stage.STARTTLS, 454)


def test_auth_plain_goes_in_one_line_and_is_masked() -> None:
    proto = ready(b"250-mx\r\n250 AUTH LOGIN PLAIN\r\n")
    proto.authenticate("user", "sëcret")
    line = proto.data_to_send()
    assert base64.b64decode(line.removeprefix(b"AUTH PLAIN ")) == "\0user\0sëcret".encode()
    proto.receive(b"235 2.7.0 welcome\r\n")
    assert isinstance(proto.next_event(), Ready)
    assert proto.take_conversation() == ["C: AUTH PLAIN ****", "S: 235 2.7.0 welcome"]


def test_auth_login_answers_two_questions_and_is_masked() -> None:
    proto = ready(b"250-mx\r\n250 AUTH=LOGIN\r\n")
    proto.authenticate("user", "secret")
    assert proto.data_to_send() == b"AUTH LOGIN\r\n"
    proto.receive(b"334 VXNlcm5hbWU6\r\n")
    assert proto.data_to_send() == b"dXNlcg==\r\n"
    proto.receive(b"334 UGFzc3dvcmQ6\r\n")
    assert proto.data_to_send() == b"c2VjcmV0\r\n"
    proto.receive(b"535 5.7.8 no\r\n")
    event = proto.next_event()
    assert isinstance(event, Failed)
    assert (event.stage, event.reply.code) == (Stage.AUTH, 535)
    assert "c2VjcmV0" not in "".join(proto.take_conversation())


def test_auth_that_is_not_offered_fails_without_telling_the_secret() -> None:
    proto = ready()
    proto.authenticate("user", "secret")
    assert proto.data_to_send() == b""
    event = proto.next_event()
    assert isinstance(event, Failed)
    assert (event.stage, event.reply.code) == (Stage.AUTH, 454)


@pytest.mark.parametrize(
    ("said", "stage"), [(b"554 5.7.1 go away\r\n", Stage.GREETING), (b"421 busy\r\n", Stage.GREETING)]
)
def test_a_refusing_greeting_fails_the_session(said: bytes, stage: Stage) -> None:
    proto = ClientProtocol("me.example")
    proto.receive(said)
    event = proto.next_event()
    assert isinstance(event, Failed)
    assert (event.stage, str(event.reply)) == (stage, said.decode().strip())


def test_connection_lost_before_the_end_of_data_says_at_which_stage() -> None:
    proto = ready()
    proto.send(TWO)
    proto.receive(b"250 ok\r\n550 no\r\n")
    proto.lost("Connection lost")
    event = finished(proto)
    assert verdicts(event) == [
        ("b@ex.net", Stage.RCPT, "550 no"),
        ("c@ex.net", Stage.RCPT, "421 4.4.2 Connection lost"),
    ]
    assert not event.reusable


def test_connection_lost_after_the_final_dot_is_told_apart() -> None:
    proto = ready()
    proto.send(ONE)
    proto.receive(b"250 ok\r\n250 ok\r\n354 go\r\n")
    proto.lost("Connection lost")
    assert finished(proto).answers == (Answer("b@ex.net", Stage.BODY, reply(421, "Connection lost", "4.4.2")),)


def test_lmtp_answers_that_came_before_the_loss_stand() -> None:
    proto = ClientProtocol("me.example", lmtp=True)
    proto.receive(b"220 x\r\n")
    proto.receive(b"250-x\r\n250 PIPELINING\r\n")
    proto.next_event()
    proto.send(TWO)
    proto.receive(b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 kept\r\n")
    proto.lost("Connection lost")
    assert [a.reply.code for a in finished(proto).answers] == [250, 421]


def test_lmtp_server_that_wants_a_message_for_nobody_is_left() -> None:
    proto = ClientProtocol("me.example", lmtp=True)
    proto.receive(b"220 x\r\n")
    proto.receive(b"250-x\r\n250 PIPELINING\r\n")
    proto.next_event()
    proto.send(ONE)
    proto.data_to_send()
    proto.receive(b"250 ok\r\n550 no\r\n354 go\r\n")
    event = finished(proto)
    assert (event.answers[0].reply.code, event.reusable, proto.data_to_send()) == (550, False, b"")


@pytest.mark.parametrize("early", [b"250 nobody asked\r\n", b"2"])
def test_a_server_that_speaks_unasked_gets_no_further_message(early: bytes) -> None:
    proto = ready()
    proto.receive(early)
    proto.send(ONE)
    event = finished(proto)
    assert (event.answers[0].stage, event.reusable) == (Stage.MAIL, False)
    assert proto.data_to_send() == b""


def test_a_positive_answer_to_data_other_than_354_is_out_of_place() -> None:
    proto = ready()
    proto.send(ONE)
    proto.data_to_send()
    proto.receive(b"250 ok\r\n250 ok\r\n250 ok\r\n")
    event = finished(proto)
    assert (event.answers[0].stage, event.answers[0].reply.code, event.reusable) == (Stage.DATA, 421, False)
    assert proto.data_to_send() == b""


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n", b"250-a\r\n550 b\r\n", b"\r\n", b"999 x\r\n"])
def test_garbage_ends_the_session(garbage: bytes) -> None:
    proto = ready()
    proto.send(ONE)
    proto.receive(garbage)
    event = finished(proto)
    assert (event.answers[0].reply.code, event.answers[0].reply.enhanced) == (421, "4.5.0")
    assert not event.reusable


@pytest.mark.parametrize("endless", [b"x", b"250-" + b"x" * 76 + b"\r\n"])
def test_an_endless_reply_ends_the_session_within_bounds(endless: bytes) -> None:
    proto = ready()
    proto.send(ONE)
    sent = 0
    while proto.next_event() is None:
        proto.receive(endless)
        sent += len(endless)
        assert sent <= MAX_REPLY + len(endless)


def test_the_conversation_shows_commands_replies_and_our_own_end() -> None:
    proto = ClientProtocol("me.example")
    proto.receive(b"220 mx\r\n")
    proto.receive(b"250-mx\r\n250 SIZE\r\n")
    proto.next_event()
    proto.send(ONE)
    proto.lost("Timed out")
    assert proto.take_conversation() == [
        "S: 220 mx",
        "C: EHLO me.example",
        "S: 250-mx",
        "S: 250 SIZE",
        "C: MAIL FROM:<a@ex.org> SIZE=27",
        "* 421 4.4.2 Timed out",
    ]
    assert proto.take_conversation() == []


def test_quit_is_said_once_and_its_answer_changes_nothing() -> None:
    proto = ready()
    proto.quit()
    assert proto.data_to_send() == b"QUIT\r\n"
    assert proto.stage is Stage.QUIT
    proto.receive(b"421 whatever\r\n")
    assert proto.next_event() is None
    proto.quit()
    assert proto.data_to_send() == b""
