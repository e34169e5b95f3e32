"""Patterns of policies: ``*`` for any characters, ``?`` for one. Source: IAM user guide, "Condition operators".

Without regular expressions on purpose: patterns come from one account and texts from another, and neither may make the
other wait. Between stars the leftmost place is always a right one, so nothing is ever tried twice.
"""

import re
from typing import NamedTuple

_SPECIAL = re.compile("()[*?]")
_SPECIAL_OR_ESCAPED = re.compile(r"\$\{([*?$])\}|[*?]")


class _Piece(NamedTuple):
    """What stands between two stars: texts with one character of any kind between each."""

    texts: tuple[str, ...]
    length: int

    def stands(self, text: str, at: int) -> bool:
        for part in self.texts:
            if not text.startswith(part, at):
                return False
            at += len(part) + 1
        return True

    def find(self, text: str, start: int, end: int) -> int:
        """The first place from `start` where this piece lies wholly before `end`; -1: nowhere."""
        if len(self.texts) == 1:
            return text.find(self.texts[0], start, end)
        return next((at for at in range(start, end - self.length + 1) if self.stands(text, at)), -1)


class Pattern:
    """A compiled pattern. ``${*}``, ``${?}`` and ``${$}`` are those characters themselves where `escapes`."""

    __slots__ = ("_marks", "_pieces")

    def __init__(self, pattern: str, escapes: bool = False) -> None:
        pieces: list[list[str]] = [[""]]
        at = 0
        for special in (_SPECIAL_OR_ESCAPED if escapes else _SPECIAL).finditer(pattern):
            pieces[-1][-1] += pattern[at : special.start()] + (special[1] or "")
            at = special.end()
            if special[1]:
                continue
            if special[0] == "?":
                pieces[-1].append("")
            else:
                pieces.append([""])
        pieces[-1][-1] += pattern[at:]
        self._pieces = tuple([_Piece(tuple(texts), sum(map(len, texts)) + len(texts) - 1) for texts in pieces])
        self._marks = sum(len(texts) - 1 for texts in pieces)

    def steps(self, text: str) -> int:
        """How much work a match can be, in searches of a text of this length."""
        return len(self._pieces) + len(text) * (self._marks and self._marks + len(self._pieces))

    def matches(self, text: str) -> bool:
        first, *rest = self._pieces
        if not rest:
            return len(text) == first.length and first.stands(text, 0)
        last = rest.pop()
        end = len(text) - last.length
        if end < first.length or not first.stands(text, 0) or not last.stands(text, end):
            return False
        at = first.length
        for piece in rest:
            found = piece.find(text, at, end)
            if found < 0:
                return False
            at = found + piece.length
        return True
