"""From text to tokens, by the lexical rules of handlebars.js 4.7.

Every rule moves forward over what it looked at, or the template is refused: the whole is linear.
"""

import re
from typing import NamedTuple

from posthouse.domain.handlebars.errors import SyntaxFailure

SPACES = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f"
    "\u3000\ufeff"
)
"""White space as JavaScript has it; Python's own idea of it differs."""
_NAME = f"[^{SPACES}!\"#%&'()*+,./;<=>@[\\\\\\]^`{{|}}~]++"
_NAME_END = f"(?=[={SPACES}}}~/.)|])"
_LITERAL_END = f"(?=[{SPACES}}}~)])"
_RULES = {
    "open_sub": r"\(",
    "close_sub": r"\)",
    "open_raw": r"\{\{\{\{",
    "close_raw": r"\}\}\}\}",
    "open_partial": r"\{\{~?>",
    "open_partial_block": r"\{\{~?#>",
    "open_block": r"\{\{~?#\*?",
    "open_end": r"\{\{~?/",
    "inverse": rf"\{{\{{~?(?:\^|[{SPACES}]*+else)[{SPACES}]*+~?\}}\}}",
    "open_inverse": r"\{\{~?\^",
    "open_chain": rf"\{{\{{~?[{SPACES}]*+else(?![0-9A-Za-z_])",
    "open_unescaped": r"\{\{~?\{",
    "open": r"\{\{~?[&*]?",
    "equals": "=",
    "parent": r"\.\.",
    "here": rf"\.{_NAME_END}",
    "separator": r"[/.]",
    "spaces": f"[{SPACES}]++",
    "close_unescaped": r"\}~?\}\}",
    "close": r"~?\}\}",
    "double_quoted": r'"(?:\\"|[^"])*"',
    "single_quoted": r"'(?:\\'|[^'])*'",
    "data": "@",
    "boolean": f"(?:true|false){_LITERAL_END}",
    "undefined": f"undefined{_LITERAL_END}",
    "null": f"null{_LITERAL_END}",
    "number": rf"-?[0-9]++(?:\.[0-9]++)?{_LITERAL_END}",
    "open_params": rf"as[{SPACES}]++\|",
    "close_params": r"\|",
    "name": f"{_NAME}{_NAME_END}",
    "bracketed": r"\[(?:\\\]|[^\]])*\]",
}
"""In this order: the first that fits is meant."""
_TOKEN = re.compile("|".join(f"(?P<{kind}>{rule})" for kind, rule in _RULES.items()))
_DASHED_COMMENT_END = re.compile(r"--~?\}\}")
_RAW_END = re.compile(rf"\{{\{{\{{\{{/({_NAME})\}}\}}\}}\}}")
_LAST = frozenset({"close", "close_unescaped", "inverse"})


class Token(NamedTuple):
    kind: str
    text: str
    at: int


def tokens(text: str) -> list[Token]:
    """All tokens, ``end`` last; white space inside tags is left out."""
    found: list[Token] = []
    at = 0
    while (at := _content(text, at, found)) < len(text):
        at = _comment(text, at, found) or _tag(text, at, found)
    found.append(Token("end", "", len(text)))
    return found


def _content(text: str, at: int, found: list[Token]) -> int:
    r"""Everything up to the next tag. ``\{{`` is no tag: its text goes on to the next one; ``\\{{`` is a backslash and
    a tag."""
    while at < len(text):
        brace = text.find("{{", at)
        if brace < 0:
            found.append(Token("content", text[at:], at))
            return len(text)
        before = text[at:brace]
        escaped = before.endswith("\\") and not before.endswith("\\\\")
        before = before.removesuffix("\\")
        if before:
            found.append(Token("content", before, at))
        if not escaped:
            return brace
        at = _escaped_end(text, brace)
        found.append(Token("content", text[brace:at], brace))
    return at


def _escaped_end(text: str, brace: int) -> int:
    """Where the text of an escaped tag ends: before the next tag, and the backslashes that belong to it."""
    end = text.find("{{", brace + 2)
    if end < 0:
        return len(text)
    for _ in range(2):
        if end > brace + 2 and text[end - 1] == "\\":
            end -= 1
    return end


def _comment(text: str, at: int, found: list[Token]) -> int | None:
    """The end of the comment that begins here; None where none does."""
    mark = at + 2 + text.startswith("~", at + 2)
    if not text.startswith("!", mark):
        return None
    if text.startswith("--", mark + 1):
        closing = _DASHED_COMMENT_END.search(text, mark + 1)
        end = closing.end() if closing else 0
    else:
        end = text.find("}}", mark) + 2
        end = end if end >= 2 else 0
    if not end:
        raise SyntaxFailure.at(text, at, "a comment is not closed")
    found.append(Token("comment", text[at:end], at))
    return end


def _tag(text: str, at: int, found: list[Token]) -> int:
    """The tokens of one tag up to its closing braces."""
    start = at
    while match := _TOKEN.match(text, at):
        kind, at = match.lastgroup or "", match.end()
        if kind != "spaces":
            found.append(Token(kind, match[0], match.start()))
        if kind in _LAST:
            return at
        if kind == "close_raw":
            return _raw(text, at, found)
    raise SyntaxFailure.at(text, start, f"the tag {text[start : start + 40]!r} cannot be read")


def _raw(text: str, at: int, found: list[Token]) -> int:
    """The content of a raw block, verbatim, and its end; raw blocks nest."""
    start, depth = at, 1
    while (at := text.find("{{{{", at)) >= 0:
        closing = _RAW_END.match(text, at)
        if not closing:
            depth += not text.startswith("/", at + 4)
            at += 4
            continue
        depth -= 1
        if not depth:
            found += [Token("content", text[start:at], start), Token("raw_end", closing[1], at)]
            return closing.end()
        at = closing.end()
    raise SyntaxFailure.at(text, start, "a raw block is not closed")
