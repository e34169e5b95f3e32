"""Handlebars as SES speaks it: a template and its data give a text, within bounds, and nothing else can happen.

Source: SES developer guide, "Advanced email personalization"; where it is silent, handlebars.js 4.7, which the tests
run beside this. Unlike there, nothing is escaped for HTML, a missing attribute is an error outside of what decides a
block, strings have no members, and objects are gone through in the order of their JSON (decision record 8).
Flow: parse = lexer > parser > whitespace > compiler; render = the functions that the compiler made, over running.Run.
A program is immutable and may be kept and shared between threads; the caller keeps it (domain/templates.py does).
"""

from dataclasses import dataclass
from typing import Any

from posthouse.domain.handlebars.compiler import compile_program
from posthouse.domain.handlebars.errors import (
    LimitExceeded,
    MissingAttribute,
    RenderFailure,
    SyntaxFailure,
    TemplateError,
)
from posthouse.domain.handlebars.parser import parse_tree
from posthouse.domain.handlebars.running import Body, Frame, Limits, Run, Vars
from posthouse.domain.handlebars.whitespace import strip_program

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

DEFAULTS = Limits()


@dataclass(frozen=True, slots=True)
class Program:
    """A parsed template."""

    body: Body


def parse(text: str, limits: Limits = DEFAULTS) -> Program:
    """Raises SyntaxFailure, and LimitExceeded for one that is too long or nests too deeply. Linear in the text."""
    if len(text) > limits.template_chars:
        raise LimitExceeded("The template is too long")
    tree = parse_tree(text, limits.nesting)
    strip_program(tree)
    return Program(compile_program(tree, text))


def render(program: Program, data: dict[str, Any], limits: Limits = DEFAULTS) -> str:
    """`data` as JSON gives it. Raises MissingAttribute, RenderFailure and LimitExceeded."""
    run = Run(data, limits)
    program.body(run, Frame(data, None, Vars(None), None), None)
    return "".join(run.out)
