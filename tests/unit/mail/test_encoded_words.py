"""Encoded words and folding."""

from email.header import decode_header, make_header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail import charsets
from posthouse.mail.encoded_words import decode_words, encode_words, fold

CLEAN = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp", "Cn", "Co")), max_size=200)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("=?UTF-8?Q?h=C3=A9llo_w?=", "héllo w"),
        ("=?utf-8?b?aMOp?=", "hé"),
        ("=?iso-8859-1?q?a?= =?iso-8859-1?q?b?=", "ab"),
        ("=?iso-8859-1?q?a?=  b =?utf-8?q?c?=", "a  b c"),
        ("x =?iso-8859-1?q?a?= =?utf-8?q?=C3=A9?= y", "x aé y"),
        ("=?utf-8?b?w?= =?utf-8?b?6k=?=", "\ufffd"),
        ("=?utf-8?q?=C3?= =?utf-8?q?=A9?=", "é"),
        ("=?UTF-8*en?Q?hi?=", "hi"),
        ("=?shift_jis?B?k/qWew==?=", "日本"),
        ("=?utf-8?q?a", "=?utf-8?q?a"),
        ("=?utf-8?x?a?=", "=?utf-8?x?a?="),
        ("no words = ? at all", "no words = ? at all"),
    ],
)
def test_decoding(raw: str, text: str) -> None:
    assert decode_words(raw) == text


@pytest.mark.parametrize(
    "charset", ["zip", "rot13", "unicode_escape", "idna", "base64", "raw_unicode_escape", "xx", "utf-7"]
)
def test_codecs_that_are_no_charsets_are_never_run(charset: str) -> None:
    word = f"=?{charset}?q?abc?="
    assert decode_words(f"a {word} =?utf-8?q?b?=") == f"a {word} b"


@pytest.mark.parametrize("charset", sorted(charsets._CODECS))
def test_every_charset_on_the_list_has_its_codec(charset: str) -> None:
    assert charsets.decode(charsets.encode("abc", charset), charset) == "abc"


@given(CLEAN.filter(lambda text: not text.isascii()), st.integers(0, 60))
def test_encoded_text_comes_back_and_its_lines_are_short(text: str, column: int) -> None:
    encoded = encode_words(text, column=column)
    lines = encoded.split("\r\n")
    assert all(len(line) <= 76 for line in lines[1:])
    assert len(lines[0]) + column <= 76 or column > 45
    assert all(line.startswith(" =?") for line in lines[1:])
    assert decode_words(encoded.replace("\r\n", "")) == text


@given(CLEAN.filter(lambda text: not text.isascii()))
def test_the_stdlib_reads_our_words(text: str) -> None:
    assert str(make_header(decode_header(encode_words(text).replace("\r\n", "")))) == text


@given(
    st.text(st.sampled_from("日本語テスト件名 abc"), min_size=1, max_size=80).filter(lambda text: not text.isascii())
)
@pytest.mark.parametrize("charset", ["Shift_JIS", "ISO-2022-JP", "EUC-JP", "GB18030"])
def test_no_character_is_split_between_words(charset: str, text: str) -> None:
    for word in encode_words(text, charset, 9).split("\r\n"):
        assert "\ufffd" not in decode_words(word.strip())
    assert decode_words(encode_words(text, charset, 9).replace("\r\n", "")) == text


def test_the_shorter_encoding_is_chosen() -> None:
    assert "?Q?" in encode_words("mostly plain téxt")
    assert "?B?" in encode_words("日本語の件名")


def test_the_charset_asked_for_is_used_and_a_text_beyond_it_refused() -> None:
    assert encode_words("é", "ISO-8859-1") == "=?ISO-8859-1?Q?=E9?="
    for text, charset in (
        ("日", "ISO-8859-1"),
        ("é", "us-ascii"),
        ("é", "rot13"),
        ("é", "utf-8\r\nBcc: x"),
        ("\ud800", "utf-8"),
    ):
        with pytest.raises(charsets.Unencodable):
            encode_words(text, charset)


def test_ascii_stays_as_the_caller_wrote_it() -> None:
    assert encode_words("=?utf-8?q?ready?= made") == "=?utf-8?q?ready?= made"


@given(st.text(st.sampled_from("ab \t\r\n\0\x0b\x85\u2028é"), max_size=120), st.integers(0, 70))
def test_nothing_breaks_out_of_a_header(text: str, column: int) -> None:
    encoded = encode_words(text, column=column)
    assert "\0" not in encoded
    lines = encoded.split("\r\n")
    assert not any("\r" in line or "\n" in line for line in lines)
    assert all(line[0] in " \t" and line.strip() for line in lines[1:])


def test_long_ascii_is_folded_before_blanks() -> None:
    text = "word " * 40
    folded = fold(text, 9)
    assert folded is not None
    assert all(len(line) <= 76 for line in folded.split("\r\n"))
    assert folded.replace("\r\n", "") == text.rstrip()


@pytest.mark.parametrize("piece", [" ", "x ", "\t", "=?", "=?utf-8?q?", "=?utf-8?q?x?= ", "=?a?b?c", "\0", "é", "é "])
def test_hostile_text_takes_linear_time(piece: str) -> None:
    text = "x" + piece * 50_000
    assert encode_words(text)
    assert decode_words(text)
    assert decode_words("=?x?q?" + text)


def test_ascii_too_long_for_a_line_becomes_words() -> None:
    encoded = encode_words("x" * 5000, column=9)
    assert max(map(len, encoded.split("\r\n"))) <= 76
    assert decode_words(encoded.replace("\r\n", "")) == "x" * 5000
