"""Sealed tokens: one spelling, one purpose, and nothing of the account to be read in them."""

import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.domain.message_ids import outgoing_id
from posthouse.domain.scope import Scope
from posthouse.mail.tracking_tokens import TrackedLink, TrackedMail, TrackingTokens, WayOut, may_be_tracked

TOKENS = TrackingTokens(lambda: b"k" * 32)
ID = outgoing_id("eu-west-1", 1_714_641_330_256, bytes(range(16)))
MAIL = TrackedMail(scope=Scope("111122223333", "eu-west-1"), message_id=ID, configuration_set="transactional")
LINK = TrackedLink(
    mail=MAIL, number=3, url="https://shop.example/track?o=7741&c=2", tags=(("position", "footer"), ("v", "b"))
)
WAY_OUT = WayOut(mail=MAIL, list_name="news", topic="", address="dana@mail.example")
ALPHABET = string.ascii_letters + string.digits + "-_"


def test_what_was_written_is_read() -> None:
    assert TOKENS.read_opened(TOKENS.opened(MAIL)) == MAIL
    assert TOKENS.read_clicked(TOKENS.clicked(LINK)) == LINK
    assert TOKENS.read_leaving(TOKENS.leaving(WAY_OUT)) == WAY_OUT
    assert MAIL.accepted_ms == 1_714_641_330_256


def test_the_same_link_is_the_same_again() -> None:
    again = TrackingTokens(lambda: b"k" * 32)
    assert again.clicked(LINK) == TOKENS.clicked(LINK)
    assert again.opened(MAIL) == TOKENS.opened(MAIL)


def test_tokens_are_short_and_tell_nothing() -> None:
    assert len(TOKENS.opened(MAIL)) < 120
    assert len(TOKENS.clicked(LINK)) < 200
    sealed = base64.urlsafe_b64decode(TOKENS.clicked(LINK) + "==")
    for told in (b"111122223333", b"eu-west", b"transactional", b"shop", b"footer"):
        assert told not in sealed


def test_a_token_is_good_for_one_purpose() -> None:
    assert TOKENS.read_clicked(TOKENS.opened(MAIL)) is None
    assert TOKENS.read_opened(TOKENS.clicked(LINK)) is None
    assert TOKENS.read_leaving(TOKENS.clicked(LINK)) is None
    assert TOKENS.read_leaving(TOKENS.opened(MAIL)) is None
    assert TOKENS.read_clicked(TOKENS.leaving(WAY_OUT)) is None
    assert TOKENS.read_opened(TOKENS.leaving(WAY_OUT)) is None


def test_a_token_of_another_installation_is_none() -> None:
    other = TrackingTokens(lambda: b"K" * 32)
    assert other.read_clicked(TOKENS.clicked(LINK)) is None


def test_every_edit_makes_a_token_nobodys() -> None:
    for url in (LINK.url, LINK.url + "x", LINK.url + "xx"):
        token = TOKENS.clicked(TrackedLink(mail=MAIL, number=1, url=url))
        for at in range(len(token)):
            for other in ALPHABET if at >= len(token) - 2 else "A-":
                if other != token[at]:
                    assert TOKENS.read_clicked(token[:at] + other + token[at + 1 :]) is None
        for edited in (
            token + "=",
            token + "==",
            token + "A",
            token[:-1],
            token + "\n",
            " " + token,
            token[1:],
            token * 2,
        ):
            assert TOKENS.read_clicked(edited) is None


@given(st.text(max_size=300) | st.text(ALPHABET, min_size=20, max_size=300))
def test_no_text_is_a_token_by_chance(text: str) -> None:
    assert TOKENS.read_opened(text) is None
    assert TOKENS.read_clicked(text) is None


def test_tokens_beyond_any_length_are_not_looked_at() -> None:
    assert TOKENS.read_clicked("A" * 1_000_000) is None


def test_only_outgoing_mail_can_be_tracked() -> None:
    assert may_be_tracked(ID)
    for other in ("", "x", ID.upper(), ID + "\n", ID[:-1] + "1", "0" * 40):
        assert not may_be_tracked(other)
        with pytest.raises(ValueError, match="not the id"):
            TOKENS.opened(TrackedMail(scope=MAIL.scope, message_id=other, configuration_set=""))
