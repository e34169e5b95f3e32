"""Any text is a template or is refused, and any template ends: within its limits, with a text or one of its errors.

POSTHOUSE_FUZZ_INPUTS sets how many templates are made; the default takes a few seconds.
"""

import json
import random
from typing import Any

from tests.fuzz.inputs import inputs
from tests.unit.domain.handlebars.templates_made import Maker
from tests.unit.domain.handlebars.test_against_handlebars_js import PIECES

from posthouse.domain.handlebars import Limits, TemplateError, parse, render
from posthouse.domain.templates import Rendered, RenderingFailure, TemplateContent
from posthouse.domain.templates import render as render_content

INPUTS = inputs(6000)
LIMITS = Limits(steps=20_000, output_chars=50_000)
DATA: dict[str, Any] = {
    "x": [{"x": [1, 2, {"x": "y"}], "if": {}}, None, [[]], "text"], "this": 1.5, "if": {"x": 0}, "1": "", "p": "p",
}  # fmt: skip


def told(template: str, data: dict[str, Any]) -> str | None:
    reason, text = "", None
    try:
        program = parse(template, LIMITS)
        text = render(program, data, LIMITS)
    except TemplateError as error:
        reason = error.reason
    if text is None:
        assert 0 < len(reason) < 600
        return None
    assert len(text) <= LIMITS.output_chars
    assert render(program, data, LIMITS) == text, "a program may be used again"
    return text


def test_heaps_of_pieces() -> None:
    chance = random.Random(11)
    for _ in range(INPUTS):
        told("".join(chance.choices(PIECES, k=chance.randrange(30))), DATA)


def test_any_characters() -> None:
    chance = random.Random(12)
    for _ in range(INPUTS):
        told("".join(chance.choices("{}~#/^.@|=()\"'[]!-\\*&> \n\0ab1\u00a0\U0001f600", k=chance.randrange(80))), DATA)


def test_damaged_templates() -> None:
    chance, rendered = random.Random(13), 0
    for seed in range(INPUTS // 20):
        maker = Maker(seed)
        template, data = maker.template(), maker.data()
        for _ in range(20):
            at, start = chance.randrange(len(template) + 1), chance.randrange(len(template))
            piece = chance.choice((chance.choice(PIECES), template[start : start + 40]))
            rendered += told(template[:at] + piece + template[at + chance.randrange(9) :], data) is not None
    assert rendered > INPUTS / 20


def rendered_or_why(content: TemplateContent, data_json: str) -> Rendered | str:
    try:
        return render_content(content, data_json)
    except RenderingFailure as failure:
        return failure.message


def test_data_of_any_kind() -> None:
    chance = random.Random(14)
    content = TemplateContent(subject="{{x}}", text="{{#each x}}{{this}}{{@key}}{{/each}}", html=None)
    pieces = ('{"x":', "{", "}", "[", "]", ",", '"', '"x"', ":", "1", "-", "1e5", "1.0", "null", "true", "\\u0000", " ")
    values = ("\r\n", "\u2028é", 0, 1e300, None, [[]], {"\0": 1})
    for number in range(INPUTS):
        text = "".join(chance.choices(pieces, k=chance.randrange(14)))
        if number % 2:
            text = json.dumps({"x": chance.choices(values, k=3)})
        told_so = rendered_or_why(content, text)
        if isinstance(told_so, Rendered):
            assert told_so.subject.isprintable()
        else:
            assert told_so
