"""Encoded words: text beyond ASCII in header fields (RFC 2047), and folding of long field bodies (RFC 5322 2.2.3)."""

import binascii
import re

from posthouse.mail import charsets, transfer

LINE = 76
"""RFC 2047 section 2: a line holding an encoded word has at most 76 characters; RFC 5322 recommends 78 at most."""
_UNFOLDABLE = 900
# RFC 2047 section 2, with RFC 2231's language after an asterisk. No space and no "?" inside: linear to match.
_WORD = re.compile(r"=\?([A-Za-z0-9_.:+-]{1,40})(?:\*[A-Za-z0-9-]{0,40})?\?([BbQq])\?([!->@-~]*)\?=")
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]+")
_TOKEN = re.compile(r"[ \t]*[^ \t]+")
# RFC 2047 section 5 (3): the characters safe in every place an encoded word may stand.
_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_Q = [chr(byte) if byte in _SAFE else "_" if byte == 0x20 else f"={byte:02X}" for byte in range(256)]


def clean(text: str) -> str:
    """``text`` with every run of CR, LF, NUL and other controls (all but TAB) made one blank: no header injection."""
    return text if text.isprintable() else _CONTROLS.sub(" ", text)


def decode_words(text: str) -> str:
    """Decode the encoded words of an unfolded field body; what is not well-formed or of unknown charset stays as is.

    Blanks between two words vanish (RFC 2047 section 6.2). Neighbours of one charset are joined before decoding,
    since many senders split a multi-byte character between two words.
    """
    if "=?" not in text:
        return text
    pieces: list[str] = []
    pending: list[bytes] = []
    pending_codec = ""
    at = 0
    for word in _WORD.finditer(text):
        codec = charsets.codec(word[1])
        if codec is None:
            continue
        gap = text[at : word.start()]
        at = word.end()
        joined = bool(pending) and not gap.strip(" \t")
        if pending and not (joined and codec == pending_codec):
            pieces.append(b"".join(pending).decode(pending_codec, "replace"))
            pending = []
        if not joined:
            pieces.append(gap)
        pending_codec = codec
        pending.append(_payload(word[2], word[3]))
    if pending:
        pieces.append(b"".join(pending).decode(pending_codec, "replace"))
    return "".join([*pieces, text[at:]])


def _payload(encoding: str, payload: str) -> bytes:
    data = payload.encode("ascii")
    return transfer.read_base64(data) if encoding in "Bb" else binascii.a2b_qp(data, header=True)


def encode_words(text: str, charset: str = "UTF-8", column: int = 0) -> str:
    """An unstructured field body, folded: ASCII text as it is, other text as encoded words in ``charset``.

    ``column`` is where the body starts on its line. ASCII passes untouched even where it looks like an encoded
    word: SES lets callers encode their subjects themselves. Raises charsets.Unencodable.
    """
    text = clean(text)
    if not text.isascii():
        return "\r\n ".join(words(text, charset, column))
    if column + len(text) <= LINE:
        return text
    folded = fold(text, column)
    return "\r\n ".join(words(text, "us-ascii", column)) if folded is None else folded


def fold(text: str, column: int) -> str | None:
    """Break ASCII ``text`` before blanks, to lines of 76 where it can be; blanks at its end are dropped.

    None when a line would come near the 998 of RFC 5322.
    """
    lines: list[str] = []
    line = ""
    # With blanks at the end the search would fail at each of them, and be quadratic.
    for token in _TOKEN.findall(text.rstrip(" \t")):
        if len(token) > _UNFOLDABLE:
            return None
        if line and column + len(line) + len(token) > LINE and token[0] in " \t":
            lines.append(line)
            line, column = token, 0
        else:
            line += token
    return "\r\n".join([*lines, line])


def words(text: str, charset: str, column: int = 0) -> list[str]:
    """``text`` as encoded words that each stand on a line of their own, in the shorter of Q and B.

    Characters are never split between words (RFC 2047 section 5). Raises charsets.Unencodable.
    """
    label = charset.strip()
    data = charsets.encode(text, label)
    as_q = sum(map(len, map(_Q.__getitem__, data))) <= (len(data) + 2) // 3 * 4
    overhead = len(label) + 7
    found: list[str] = []
    at = 0
    # The first word shares its line with the field's name; a word without room there would be an empty one.
    room = max(LINE - 1 - column, overhead + 16) - overhead
    while at < len(text):
        taken, payload = _fit(text, at, label, as_q, room)
        found.append(f"=?{label}?{'Q' if as_q else 'B'}?{payload}?=")
        at += taken
        room = LINE - 1 - overhead
    return found


def _fit(text: str, at: int, charset: str, as_q: bool, room: int) -> tuple[int, str]:
    """How many characters from ``at`` fill one word, and their payload; each try shrinks in proportion."""
    count = min(room, len(text) - at)
    while True:
        data = charsets.encode(text[at : at + count], charset)
        payload = "".join(map(_Q.__getitem__, data)) if as_q else binascii.b2a_base64(data, newline=False).decode()
        if len(payload) <= room or count == 1:
            return count, payload
        count = max(1, min(count - 1, count * room // len(payload)))
