"""Hostile templates end soon, with a plain error, whatever they try."""

from typing import Any

import pytest

from posthouse.domain.handlebars import LimitExceeded, Limits, SyntaxFailure, TemplateError, parse, render

MANY = 20_000
BOMB = "".join(f"{{{{#*inline 'p{n}'}}}}{f'{{{{> p{n + 1}}}}}' * 10}{{{{/inline}}}}" for n in range(12))


@pytest.mark.parametrize(
    "template",
    [
        "{{#if a}}" * 101 + "{{/if}}" * 101,
        "{{#if a}}" * MANY,
        "{{^a}}" * MANY,
        "{{#> a}}" * MANY,
        "{{#*inline 'a'}}" * MANY,
        "{{#if a}}x" + "{{else if b}}y" * 101 + "{{/if}}",
        "{{#if a}}" + "{{else if b}}" * MANY,
        "{{lookup " + "(lookup " * 101 + "a b" + " b)" * 101 + " b}}",
    ],
)
def test_what_nests_too_deeply_is_refused(template: str) -> None:
    with pytest.raises(LimitExceeded, match="^The template nests too deeply$"):
        parse(template)


@pytest.mark.parametrize(
    "template",
    [
        "{" * 150_000, "}" * 150_000, "{{" * 75_000, "{{{{" * 40_000, "{{!" * 50_000, "{{!--" * 30_000,
        "{{" + " " * 150_000, "{{a" * 50_000, "{{a " * 40_000, '{{"' + '\\"' * 75_000, "{{[" + "\\]" * 75_000,
        "{{" + "../" * 50_000 + "a", "{{a" + ".a" * 75_000, "{{" + "as " * 50_000, "{{" + "-" * 150_000,
        "{{lookup " + "(" * 150_000, "{{> " + "(lookup " * 60_000, "{{" + "\n" * 150_000 + "else", "\\{{" * 50_000,
        "\\" * 150_000 + "{{", "{{a b" + "=b c" * 30_000, "{{#each l as |" + "x " * 60_000, "{{" + "9" * 150_000,
        "{{else" * 30_000, "{{{{a}}}}" + "{{{{/" * 30_000, "{{{{a}}}}" * 50_000, "{{~" * 50_000,
    ],
)  # fmt: skip
def test_floods_are_refused_in_time(template: str) -> None:
    # No clock here: a quadratic rule would take minutes.
    try:
        parse(template)
    except TemplateError:
        return
    assert template.count("{{") == 0 or template.startswith("\\")


def test_long_runs_of_white_space_take_no_longer_than_others() -> None:
    blanks = "\n" * 200_000
    assert render(parse(blanks + "x{{! note }}" + blanks), {}) == blanks + "x" + blanks
    assert render(parse("{{#if a}}" + blanks + "x" + blanks + "{{/if}}"), {"a": 1}) == blanks[1:] + "x" + blanks
    assert render(parse(f"x{blanks}{{{{~a~}}}}{blanks}y"), {"a": 1}) == "x1y"


def test_a_template_has_an_end() -> None:
    with pytest.raises(LimitExceeded, match="^The template is too long$"):
        parse("x" * 11, Limits(template_chars=10))


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{#*inline 'p'}}{{> p}}{{/inline}}{{> p}}", "nests too deeply"),
        ("{{#*inline 'p'}}{{#if a}}{{> p}}{{/if}}{{> p}}{{/inline}}{{> p}}", "nests too deeply"),
        ("{{#*inline 'p'}}{{> q}}{{/inline}}{{#*inline 'q'}}{{> p}}{{/inline}}{{> p}}", "nests too deeply"),
        ("{{#*inline 'p'}}{{#> p}}{{> @partial-block}}{{/p}}{{/inline}}{{> p}}", "nests too deeply"),
        ("{{#*inline 'p'}}" + "{{#if a}}" * 99 + "{{> p}}" + "{{/if}}" * 99 + "{{/inline}}{{> p}}", "nests too deeply"),
        (BOMB + "{{#*inline 'p12'}}{{/inline}}{{> p0}}", "takes too many steps"),
        ("{{#each l}}" + "{{#each ../l}}" * 4 + "{{/each}}" * 5, "takes too many steps"),
        ("{{#each l}}{{#each @root.l}}{{#each @root.l}}{{/each}}{{/each}}{{/each}}", "takes too many steps"),
        ("{{#each l}}{{#each @root.l}}{{#each @root.l}}x{{/each}}{{/each}}{{/each}}", "takes too many steps"),
        ("{{#each l}}{{#each @root.l}}{{^each @root.l}}{{/each}}{{/each}}{{/each}}", "takes too many steps"),
        ("{{#each l}}{{#each @root.l}}{{@root.big}}{{/each}}{{/each}}", "is too long"),
        ("{{#each l}}{{#each @root.l}}{{@root.nested}}{{/each}}{{/each}}", "takes too many steps"),
        ("{{#each l}}{{#each @root.l}}{{@root.commas}}{{/each}}{{/each}}", "takes too many steps"),
        (
            "{{#each l}}{{#each @root.l}}{{> p @root.wide x=1}}{{/each}}{{/each}}{{#*inline 'p'}}{{/inline}}",
            "too many steps",
        ),
        ("{{#*inline 'p'}}{{@root.lines}}{{/inline}}{{#each l}}\n {{> p}}\n{{/each}}", "(too many steps|is too long)"),
        (
            "{{#each l}}{{#each @root.l}}" + "{{#if @root.n" + ".a" * 5_000 + "}}{{/if}}" + "{{/each}}{{/each}}",
            "too many steps",
        ),
    ],
)
def test_rendering_ends(template: str, reason: str) -> None:
    nested: list[Any] = []
    for _ in range(500):
        nested = [nested]
    data = {
        "a": 1, "l": list(range(500)), "big": "x" * 200_000, "nested": nested, "commas": [None] * 1000, "n": {},
        "wide": {str(n): n for n in range(10_000)}, "lines": "\n" * 20_000,
    }  # fmt: skip
    with pytest.raises(LimitExceeded, match=reason):
        render(parse(template), data)


def test_every_limit_can_be_set() -> None:
    with pytest.raises(LimitExceeded, match="nests"):
        parse("{{#if a}}{{#if b}}{{/if}}{{/if}}", Limits(nesting=1))
    loop = parse("{{#each l}}{{this}}{{/each}}")
    assert render(loop, {"l": [1, 2]}, Limits(steps=20, output_chars=2)) == "12"
    with pytest.raises(LimitExceeded, match="steps"):
        render(loop, {"l": [1, 2]}, Limits(steps=4))
    with pytest.raises(LimitExceeded, match="too long"):
        render(loop, {"l": [1, 2]}, Limits(output_chars=1))
    with pytest.raises(LimitExceeded, match="too long"):
        render(parse("abc"), {}, Limits(output_chars=2))
    with pytest.raises(LimitExceeded, match="too long"):
        render(parse("{{a}}"), {"a": [1, 2]}, Limits(output_chars=2))


def test_as_deep_as_it_may_nest_the_stack_holds() -> None:
    chain = "{{#if a}}" + "{{else if a}}" * 99 + "{{else}}x{{/if}}"
    assert render(parse(chain.replace("{{else}}", "{{else}}" + "{{n}}")), {"n": 1}) == "1x"
    deep = "{{#each l}}" * 100 + "{{n}}" + "{{/each}}" * 100
    data: dict[str, Any] = {"n": 1}
    for _ in range(100):
        data = {"l": [data]}
    assert render(parse(deep), data) == "1"
    lookups = "{{lookup " + "(lookup " * 99 + "." + " 'o')" * 99 + " 'n'}}"
    ring: dict[str, Any] = {"n": 1}
    for _ in range(99):
        ring = {"o": ring}
    assert render(parse(lookups), ring) == "1"


def test_partials_and_blocks_together_are_held_too() -> None:
    calls, blocks = "{{#if l}}{{> p l.0}}{{else}}", "{{#if n}}" * 98
    template = f"{{{{#*inline 'p'}}}}{calls}{blocks}x{'{{/if}}' * 99}{{{{/inline}}}}{{{{> p}}}}"
    data: dict[str, Any] = {"n": 1, "l": []}
    for _ in range(49):
        data = {"l": [data]}
    assert render(parse(template), data) == "x"
    with pytest.raises(LimitExceeded, match="Rendering the template nests too deeply"):
        render(parse(template), {"l": [data]})


def test_the_deepest_way_there_is_leaves_the_stack_room() -> None:
    # Indented, with partials of its own, called by a dynamic name: all that costs functions within functions.
    step = "{{#*inline 'p'}}\n{{#*inline 'own'}}{{/inline}}\n  {{> (lookup . 'next') l.0}}\n{{/inline}}"
    end = "{{#*inline 'end'}}" + "{{#each l}}" * 99 + "x" + "{{/each}}" * 99 + "{{/inline}}"
    data: dict[str, Any] = {"l": []}
    for level in range(198):
        data = {"l": [data], "next": "end" if level == 99 else "p"}
    program = parse(f"{step}{end}{{{{> p}}}}")

    def deeper(levels: int) -> str:
        return deeper(levels - 1) if levels else render(program, data)

    assert deeper(100).strip() == "x"
    with pytest.raises(LimitExceeded, match="Rendering the template nests too deeply"):
        render(program, {"l": [data], "next": "p"})


def test_an_error_of_syntax_names_no_more_than_a_little_of_the_template() -> None:
    for template in ("{{" + "x" * 100_000, f"{{{{{'x' * 100_000} y}}}}", f"{{{{#a}}}}{{{{/{'x' * 100_000}}}}}"):
        with pytest.raises(SyntaxFailure) as error:
            parse(template)
        assert len(error.value.reason) < 250
