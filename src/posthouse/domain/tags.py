"""Message tags: their rules and SES's texts.

Source: texts recorded from the live service (the two blanks in them are SES's); the documented limit of 256 is 255 in
its answers. ``ses:feedback-id-a`` and ``-b`` are the only names with a colon.
"""

import re

from posthouse.model.errors import InvalidParameterValue

MAX_TAGS = 50
"""Of one message (Amazon's quota; the text of the refusal is ours): an event tells them all, and must fit a topic."""
MAX_LENGTH = 255
_NAME = re.compile(r"[A-Za-z0-9_-]+\Z")
_VALUE = re.compile(r"[A-Za-z0-9_.@-]+\Z")
_SPECIAL = frozenset({"ses:feedback-id-a", "ses:feedback-id-b"})


def check_tags(tags: tuple[tuple[str, str], ...]) -> None:
    """Raises InvalidParameterValue for the first tag that breaks a rule; a name is judged before its value."""
    for name, value in tags:
        _check(name, "name", _NAME, "'_',  '-'")
        _check(value, "value", _VALUE, "'_',  '-' , '.', '@'")
    if len(tags) > MAX_TAGS:
        raise InvalidParameterValue(f"A message cannot have more than {MAX_TAGS} tags.")


def _check(text: str, what: str, allowed: re.Pattern[str], shown: str) -> None:
    if not text:
        raise InvalidParameterValue(f"The tag {what} must be specified.")
    if len(text) > MAX_LENGTH:
        raise InvalidParameterValue(f"Tag {what} cannot exceed {MAX_LENGTH} characters.")
    if not allowed.match(text) and not (what == "name" and text in _SPECIAL):
        raise InvalidParameterValue(
            f"Invalid tag {what} <{text}>: only alphanumeric ASCII characters, {shown} are allowed."
        )
