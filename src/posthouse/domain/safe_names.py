"""Any text as the name of one file or directory: each has its own, none leads elsewhere, whatever the file system."""

import re

_PLAIN = re.compile(rb"[A-Za-z0-9!$&'()+,;=@_~ .-]")
_DEVICE = re.compile(r"(?:CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(?:\.|\Z)", re.IGNORECASE)


def spelled(part: str) -> str:
    """With percent signs where a character would mean something to a file system."""
    if not part:
        # A lone sign stands for nothing else: every other is followed by two digits.
        return "%"
    octets = part.encode(errors="replace")
    spelling = "".join(chr(octet) if _PLAIN.match(bytes([octet])) else f"%{octet:02X}" for octet in octets)
    # Hidden names are ours; "." and ".." lead elsewhere; Windows drops dots and blanks at the end, and has devices.
    if spelling[0] == "." or _DEVICE.match(spelling):
        spelling = f"%{octets[0]:02X}{spelling[1:]}"
    if spelling[-1] in ". ":
        spelling = f"{spelling[:-1]}%{octets[-1]:02X}"
    return spelling
