"""Character references in attribute values, and text put into them (WHATWG HTML 13.2.5.72 to 13.2.5.80).

The standard library's ``html.unescape`` reads text, where ``&copy`` needs no semicolon. In an attribute that is no
reference where ``=`` or a letter or digit follows: the links of the world depend on it (``?a=1&copy=2``).
"""

import re
from html.entities import html5

_REFERENCE = re.compile(r"&(?:#([0-9]+);?|#[xX]([0-9A-Fa-f]+);?|([A-Za-z][A-Za-z0-9]*+(?:;|(?![=;]))))")
_UNKNOWN = "\ufffd"


def attribute_value(written: str) -> str:
    """What an attribute's value says, given as it is written."""
    return _REFERENCE.sub(_character, written) if "&" in written else written


def _character(reference: re.Match[str]) -> str:
    decimal, hexadecimal, name = reference.groups()
    if name is not None:
        return html5.get(name, reference[0])
    digits, base = (decimal, 10) if decimal is not None else (hexadecimal, 16)
    digits = digits.lstrip("0")
    # Seven digits are more than Unicode has, and int() of thousands would take its time.
    number = int(digits or "0", base) if len(digits) <= 7 else 0
    # 0x80 to 0x9f are characters of windows-1252 here; none of them can stand in a URL.
    return chr(number) if 0 < number < 0x80 or 0xA0 <= number < 0xD800 or 0xE000 <= number <= 0x10FFFF else _UNKNOWN


def escaped(text: str) -> str:
    """Text for an attribute in quotes of either kind, or in none where it has no blanks and no ``>``."""
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("'", "&#39;").replace("<", "&lt;")
