"""Why a text is no template, and why a template gave no text. All are outcomes of what callers wrote; none is a bug."""

from typing import Self

_SHOWN = 200
"""Characters of a reason: names in a template may be as long as the template."""


class TemplateError(Exception):
    """The base of them; `reason` is one line for the template's author."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class SyntaxFailure(TemplateError):
    """The text is no template."""

    @classmethod
    def at(cls, text: str, position: int, reason: str) -> Self:
        return cls(f"line {text.count(chr(10), 0, position) + 1}: {reason[:_SHOWN]}")


class MissingAttribute(TemplateError):
    """The data have nothing of this name, and it stands where a value is wanted."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not in the data")
        self.name = name


class RenderFailure(TemplateError):
    """The template asks for what cannot be done: a partial that is not there."""


class LimitExceeded(TemplateError):
    """More work, depth or output than one template may take (`Limits`)."""
