"""Handlebars, as SES speaks it: thin for now."""

import re
from dataclasses import dataclass
from typing import Any

from posthouse.domain.handlebars.errors import (
    LimitExceeded,
    MissingAttribute,
    RenderFailure,
    SyntaxFailure,
    TemplateError,
)

__all__ = [
    "LimitExceeded",
    "Limits",
    "MissingAttribute",
    "Program",
    "RenderFailure",
    "SyntaxFailure",
    "TemplateError",
    "parse",
    "render",
]


@dataclass(frozen=True, slots=True)
class Limits:
    output_chars: int = 10 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Program:
    text: str


def parse(text: str) -> Program:
    return Program(text)


def render(program: Program, data: dict[str, Any], limits: Limits = Limits()) -> str:
    def value(found: re.Match[str]) -> str:
        if found[1] not in data:
            raise MissingAttribute(found[1])
        return str(data[found[1]])

    return re.sub(r"\{\{(\w+)\}\}", value, program.text)
