"""Replies: rendered for clients, read from servers."""

import pytest

from posthouse.wire.smtp_reply import MAX_LINE, MAX_LINES, MalformedReply, Reply, reply, take_reply


def test_enhanced_code_stands_on_every_line() -> None:
    assert Reply(550, "5.1.1", ("no such user", "really")).render() == b"550-5.1.1 no such user\r\n550 5.1.1 really\r\n"
    assert reply(250, "Ok").render() == b"250 Ok\r\n"


def test_text_never_breaks_the_line() -> None:
    assert reply(554, "a\r\n250 Ok\x00é").render() == b"554 a??250 Ok??\r\n"


def test_classes_of_replies() -> None:
    assert (reply(250, "").ok, reply(451, "").temporary, reply(550, "").permanent) == (True, True, True)
    more = reply(354, "")
    assert (more.ok, more.temporary, more.permanent) == (False, False, False)


@pytest.mark.parametrize(
    "original", [Reply(250, "", ("one", "two", "")), Reply(421, "4.3.2", ("bye",)), reply(220, "x")]
)
def test_what_is_rendered_is_read_back(original: Reply) -> None:
    wire = original.render()
    assert take_reply(wire + b"250 next\r\n") == (original, len(wire))
    assert all(take_reply(wire[:cut]) is None for cut in range(len(wire)))
    assert take_reply(b"xx" + wire, 2) == (original, len(wire) + 2)


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        (b"250\r\n", Reply(250, "", ("",))),
        (b"250 \n", Reply(250, "", ("",))),
        (b"550 5.1.1\r\n", Reply(550, "5.1.1", ("",))),
        (b"550 2.1.1 odd\r\n", Reply(550, "", ("2.1.1 odd",))),
        (b"550-5.7.1 a\r\n550 b\r\n", Reply(550, "5.7.1", ("a", "b"))),
        (b"250 \xff\x1b[31m\r\n", Reply(250, "", ("\ufffd?[31m",))),
    ],
)
def test_odd_but_honest_replies_are_read(wire: bytes, expected: Reply) -> None:
    assert take_reply(wire) == (expected, len(wire))


@pytest.mark.parametrize(
    "wire",
    [
        b"hello\r\n",
        b"25 x\r\n",
        b"199 x\r\n",
        b"600 x\r\n",
        b"250x\r\n",
        b"250-a\r\n550 b\r\n",
        b"\r\n",
        b"250-a\r\nrest\r\n",
    ],
)
def test_what_is_no_reply_is_refused(wire: bytes) -> None:
    with pytest.raises(MalformedReply):
        take_reply(wire)


def test_reply_without_end_is_refused() -> None:
    with pytest.raises(MalformedReply):
        take_reply(b"250 " + b"x" * (MAX_LINE + 1))
    with pytest.raises(MalformedReply):
        take_reply(b"250-x\r\n" * (MAX_LINES + 1))
