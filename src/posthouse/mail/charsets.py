"""Which charset labels are understood, and by which codec.

A whitelist, because Python's codec lookup also answers to labels that are no charsets (``zip``, ``rot13``,
``unicode_escape``, ``idna``) and would run them on a stranger's bytes. Labels are those of the IANA registry that
mail is seen with.
"""

_SAME_NAME = (
    *("utf-8", "us-ascii", "koi8-r", "koi8-u", "big5", "gb2312", "gbk", "gb18030", "tis-620"),
    *("shift_jis", "euc-jp", "iso-2022-jp", "iso-2022-jp-1", "iso-2022-jp-2", "iso-2022-jp-3", "euc-kr", "iso-2022-kr"),
    *(f"iso-8859-{n}" for n in (*range(1, 12), 13, 14, 15, 16)),
    *(f"windows-{n}" for n in (874, *range(1250, 1259))),
    *("ibm437", "ibm850", "ibm852", "ibm866"),
)
_OTHER_NAMES = {
    "utf8": "utf-8",
    "ascii": "us-ascii",
    "ansi_x3.4-1968": "us-ascii",
    "iso646-us": "us-ascii",
    "latin1": "iso-8859-1",
    "latin-1": "iso-8859-1",
    "latin2": "iso-8859-2",
    "cp1251": "windows-1251",
    "cp1252": "windows-1252",
    "sjis": "shift_jis",
    "x-sjis": "shift_jis",
    "windows-31j": "cp932",
    "cp932": "cp932",
    "ks_c_5601-1987": "cp949",
    "cp949": "cp949",
    "macintosh": "mac_roman",
    "iso-8859-8-i": "iso-8859-8",
    "gb_2312-80": "gb2312",
    "cp936": "gbk",
    "big5-hkscs": "big5-hkscs",
    "windows-949": "cp949",
    "hz-gb-2312": "hz",
    "windows-874": "cp874",
    "iso-2022-jp-ms": "iso-2022-jp-ext",
}
_CODECS = {**{name: name for name in _SAME_NAME}, **_OTHER_NAMES}
# Not supersets of ASCII: read in bodies, never written, and no header can carry them.
_WIDE = {"utf-16": "utf-16", "utf-16le": "utf-16-le", "utf-16be": "utf-16-be", "utf-32": "utf-32"}


class Unencodable(ValueError):
    """Text that cannot be written in the charset asked for: unknown charset, or characters it lacks."""

    def __init__(self, charset: str) -> None:
        super().__init__(f"text cannot be written in charset {charset[:64]!r}")
        self.charset = charset


def codec(charset: str) -> str | None:
    """The Python codec for a charset label, or None when the label is not on the whitelist.

    Labels are ASCII: there are letters beyond it that become ASCII ones in lower case (the Kelvin sign).
    """
    return _CODECS.get(charset.strip().lower()) if charset.isascii() else None


def encode(text: str, charset: str) -> bytes:
    """``text`` in ``charset``. Raises Unencodable, never replaces a character."""
    name = codec(charset)
    if name is None:
        raise Unencodable(charset)
    try:
        return text.encode(name)
    except UnicodeEncodeError:
        raise Unencodable(charset) from None


def decode(data: bytes, charset: str | None) -> str:
    """The text of a body part. Bytes that do not fit become U+FFFD; an unknown label is read as ``guess`` reads."""
    label = (charset or "us-ascii").strip().lower()
    name = _CODECS.get(label) or _WIDE.get(label)
    if name is None or name == "us-ascii":
        return guess(data)
    return data.decode(name, "replace")


def guess(data: bytes) -> str:
    """Bytes without a usable label: UTF-8 if they are valid UTF-8, else ISO-8859-1, which takes every byte."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("iso-8859-1")
