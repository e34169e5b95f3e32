"""Beside handlebars.js 4.7: thousands of made templates give the same text, and broken ones are refused by both.

Where SES differs, the comparison steps aside: templates that run into a missing attribute here (there it prints
nothing), partials and helpers that do not exist (found here when the template is read, there when it is rendered).
handlebars.js runs with an escape function that escapes nothing, not with `noEscape`: that adds up numbers which stand
side by side.
"""

import json
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.javascript import run_node
from tests.unit.domain.handlebars.templates_made import Maker

from posthouse.domain.handlebars import MissingAttribute, SyntaxFailure, parse, render

TEMPLATES, BROKEN = 800, 4_000
SCRIPT = """
import Handlebars from "handlebars";
import { readFileSync } from "fs";
Handlebars.Utils.escapeExpression = value => value == null ? "" : "" + value;
Handlebars.log = () => {};
const answers = JSON.parse(readFileSync(process.argv[2], "utf8")).map(([template, data]) => {
  try { Handlebars.precompile(template); } catch (error) { return { syntax: error.message }; }
  try { return { text: Handlebars.compile(template)(data) }; } catch (error) { return { error: error.message }; }
});
console.log(JSON.stringify(answers));
"""
PIECES = (
    *("{{", "}}", "{{{", "}}}", "{{/if}}", "{{else}}", "{{#", "{{^", "{{/", "~", "#", "/", "^", ".", "..", "@", "|"),
    *("=", "(", ")", '"', "'", "[", "]", "!", "--", "\\", "*", "&", ">", "{{{{raw}}}}", "{{{{/raw}}}}", " ", "\n"),
    *(
        "else",
        "if",
        "this",
        "x",
        "1",
        "true",
        "as |x|",
        "{{!",
        "{{!--",
        "--}}",
        "{",
        "}",
        "{{#if x}}",
        "{{x}}",
        "{{> p}}",
    ),
    "{{#*inline 'p'}}",
)
# What more is understood here: `a.0` and `a.true`, which handlebars.js wants in brackets.
AFTER_DOT = re.compile(r"(?<=[\w\])}])([./])([0-9]+|true|false|null|undefined)(?=[\s}~)])")
FOUND_EARLIER = re.compile(
    "no helper|does not exist|exactly one|no (such )?decorator|is (not )?a block|two arguments|in quotes"
)

Case = tuple[str, dict[str, Any]]


def asked(cases: Sequence[Case], directory: Path) -> list[dict[str, str]]:
    """What handlebars.js makes of all of them, in one process."""
    corpus = directory / "corpus.json"
    corpus.write_text(json.dumps([(AFTER_DOT.sub(r"\1[\2]", template), data) for template, data in cases]))
    answers: list[dict[str, str]] = json.loads(run_node(SCRIPT, str(corpus), timeout_s=120))
    return answers


def ours(template: str, data: dict[str, Any]) -> dict[str, str]:
    try:
        return {"text": render(parse(template), data)}
    except SyntaxFailure as error:
        return {"syntax": error.reason}
    except MissingAttribute as error:
        return {"missing": error.name}


def test_templates_give_the_same_text(tmp_path: Path) -> None:
    makers = [Maker(seed) for seed in range(TEMPLATES)]
    cases = [(maker.template(), maker.data()) for maker in makers]
    compared = 0
    for seed, ((template, data), theirs) in enumerate(zip(cases, asked(cases, tmp_path), strict=True)):
        mine = ours(template, data)
        if "missing" not in mine:
            assert mine == theirs, f"seed {seed}: {template!r}"
            compared += 1
    assert compared > TEMPLATES * 0.9


def broken(seed: int) -> str:
    """A piece of a template with some of it replaced, or a heap of pieces."""
    chance = random.Random(seed)
    template = Maker(seed).template()
    start = chance.randrange(len(template))
    template = template[start : start + chance.randrange(400)]
    if chance.random() < 0.5:
        template = "".join(chance.choice(PIECES) for _ in range(chance.randrange(12)))
    for _ in range(chance.randrange(3)):
        at = chance.randrange(len(template) + 1)
        template = template[:at] + chance.choice(PIECES) + template[at + chance.randrange(3) :]
    return template


def test_broken_templates_are_refused_by_both(tmp_path: Path) -> None:
    data = {"x": "X", "a": 1, "if": 2, "this": 3, "1": 4}
    cases = [(broken(seed), data) for seed in range(BROKEN)]
    verdicts = []
    for seed, ((template, _), theirs) in enumerate(zip(cases, asked(cases, tmp_path), strict=True)):
        mine = ours(template, data)
        found_earlier = "syntax" in mine and FOUND_EARLIER.search(mine["syntax"])
        if "missing" not in mine and not found_earlier:
            shown = f"seed {seed}: {template!r}: {mine}, {theirs}"
            assert ("syntax" in mine) == ("syntax" in theirs), shown
            assert mine.get("text") == theirs.get("text") or "syntax" in mine or AFTER_DOT.search(template), shown
            verdicts.append("syntax" in mine)
    assert verdicts.count(True) > BROKEN / 3
    assert verdicts.count(False) > BROKEN / 8
