"""Content-Transfer-Encoding, both ways (RFC 2045 section 6)."""

import binascii

LONGEST_LINE = 998
"""RFC 5322 section 2.1.1, and SES: 1,000 with the CRLF."""
_EIGHT_BIT = bytes(range(128, 256))
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_NOT_BASE64 = bytes(byte for byte in range(256) if byte not in _BASE64)


def has_long_line(data: bytes) -> bool:
    """Whether a line of CRLF text is longer than ``LONGEST_LINE``.

    Jumps from line end to line end by nearly a thousand bytes: a mail of 2 KB takes three looks.
    """
    at = 0
    while len(data) - at > LONGEST_LINE:
        at = data.rfind(b"\n", at, at + LONGEST_LINE + 2) + 1
        if at == 0:
            # The last line needs no line ending.
            return True
    return False


def encode_body(data: bytes) -> tuple[str, bytes]:
    """Choose the encoding for a text part whose newlines are CRLF: ``(name, encoded bytes)``.

    7bit where the bytes allow it, else the smaller of quoted-printable and base64.
    """
    if data.isascii() and b"\0" not in data and not has_long_line(data):
        return "7bit", data
    to_escape = len(data) - len(data.translate(None, _EIGHT_BIT)) + data.count(b"=")
    # quoted-printable costs two more bytes an escape; base64 a third of everything, less the soft line ends of both.
    if to_escape * 6 <= len(data):
        return "quoted-printable", write_quoted_printable(data)
    return "base64", write_base64(data)


def write_quoted_printable(data: bytes) -> bytes:
    """Quoted-printable of text with CRLF newlines; lines of 76 at most."""
    # The C encoder takes its newline from the first line it sees and guards blanks only before a newline.
    return binascii.b2a_qp(data + b"\r\n", istext=True)[:-2]


def write_base64(data: bytes) -> bytes:
    """Base64 in lines of 76, without a final line ending."""
    flat = binascii.b2a_base64(data, newline=False)
    return b"\r\n".join([flat[at : at + 76] for at in range(0, len(flat), 76)])


def read_base64(data: bytes) -> bytes:
    """Decode as much as can be: foreign characters are skipped (RFC 2045 section 6.8), missing padding is forgiven."""
    flat = data.translate(None, _NOT_BASE64).partition(b"=")[0]
    whole = len(flat) - 1 if len(flat) % 4 == 1 else len(flat)
    return binascii.a2b_base64(flat[:whole] + b"=" * (-whole % 4))


def read_body(encoding: str, data: bytes) -> bytes:
    """The content of a part; an unknown encoding leaves it as it stands (RFC 2045 section 6.4)."""
    name = encoding.strip().lower()
    if name == "base64":
        return read_base64(data)
    if name == "quoted-printable":
        return binascii.a2b_qp(data)
    return data


def size_of(encoding: str, data: bytes) -> int:
    """Length in bytes of what ``read_body`` would give."""
    if encoding.strip().lower() != "base64":
        return len(read_body(encoding, data))
    return len(data.translate(None, _NOT_BASE64).partition(b"=")[0]) * 3 // 4
