"""Inline partials: where they are seen, and what they see."""

from typing import Any

import pytest

from posthouse.domain.handlebars import RenderFailure, SyntaxFailure, parse, render

ROW = '{{#* inline "row"}}[{{name}}]{{/inline}}'


def rendered(template: str, data: dict[str, Any]) -> str:
    return render(parse(template), data)


@pytest.mark.parametrize("opening", ['{{#* inline "row"}}', '{{#*inline "row"}}', "{{#*inline 'row'}}"])
def test_the_spellings_of_the_guide(opening: str) -> None:
    assert rendered(opening + "[{{name}}]{{/inline}}{{> row}}{{>row}}", {"name": "a"}) == "[a][a]"


def test_a_partial_may_be_used_before_its_definition_and_in_blocks() -> None:
    assert rendered("{{#each l}}{{> row}}{{/each}}" + ROW, {"l": [{"name": "a"}, {"name": "b"}]}) == "[a][b]"


def test_a_partial_takes_a_context_and_fields() -> None:
    data = {"name": "root", "o": {"name": "o"}, "l": ["x"]}
    calls = "{{> row o}}{{> row name='given'}}{{> row o name=l.0}}{{> row l name=1}}"
    assert rendered(ROW + calls, data) == "[o][given][x][1]"
    assert rendered("{{#*inline 'p'}}{{a}}{{b}}{{/inline}}{{> p a=1 b=o.name}}", data) == "1o"


def test_names_of_partials() -> None:
    assert rendered('{{#*inline "a/b"}}1{{/inline}}{{#*inline "c d"}}2{{/inline}}{{> a/b}}{{> "c d"}}', {}) == "12"
    assert rendered("{{#*inline '5'}}5{{/inline}}{{> 5}}", {}) == "5"
    assert rendered(ROW + "{{> (lookup . 'which') o}}", {"which": "row", "o": {"name": "n"}}) == "[n]"


def test_partials_of_a_block_end_with_it() -> None:
    template = "{{#*inline 'p'}}1{{/inline}}{{#if a}}{{#*inline 'p'}}2{{/inline}}{{> p}}{{/if}}{{> p}}"
    assert rendered(template, {"a": 1}) == "21"


def test_partials_call_partials() -> None:
    template = "{{#*inline 'a'}}<{{> b}}>{{/inline}}{{#*inline 'b'}}{{name}}{{/inline}}{{#each l}}{{> a}}{{/each}}"
    assert rendered(template, {"l": [{"name": 1}, {"name": 2}]}) == "<1><2>"


def test_a_tree_calls_itself_until_it_ends() -> None:
    template = "{{#*inline 'node'}}({{name}}{{#each of}}{{> node}}{{/each}}){{/inline}}{{> node tree}}"
    tree = {"name": "a", "of": [{"name": "b", "of": [{"name": "c"}]}, {"name": "d"}]}
    assert rendered(template, {"tree": tree}) == "(a(b(c))(d))"


def test_a_partial_that_does_not_exist_is_told_when_the_template_is_read() -> None:
    with pytest.raises(SyntaxFailure, match="line 2: the partial absent does not exist"):
        parse("\n{{> absent}}")


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{{#if a}}{{#*inline 'p'}}{{/inline}}{{/if}}{{> p}}", "p"),
        ("{{> (lookup . 'which')}}", "none"),
        ("{{> @partial-block}}", "@partial-block"),
    ],
)
def test_a_partial_out_of_reach_fails_the_rendering(template: str, name: str) -> None:
    with pytest.raises(RenderFailure, match=f"^The partial {name} could not be found$"):
        rendered(template, {"a": 1, "which": "none"})


def test_partial_blocks() -> None:
    layout = "{{#*inline 'layout'}}<{{> @partial-block}}|{{> @partial-block o}}>{{/inline}}"
    assert rendered(layout + "{{#> layout}}{{n}}{{/layout}}", {"n": 1, "o": {"n": 2}}) == "<1|2>"
    assert rendered("{{#> absent}}instead{{/absent}}", {}) == "instead"
    assert rendered("{{#> absent o}}{{n}}{{/absent}}", {"o": {"n": 2}}) == "2"
    twice = "{{#*inline 'outer'}}({{#> layout}}{{> @partial-block}}{{/layout}}){{/inline}}"
    assert rendered(layout + twice + "{{#> outer}}{{n}}{{/outer}}", {"n": 1, "o": {"n": 2}}) == "(<1|2>)"
    in_loop = "{{#each l as |x|}}{{#> layout ..}}{{x}}{{/layout}}{{/each}}"
    assert rendered(layout + in_loop, {"l": [7], "o": 1}) == "<7|7>"


def test_a_partial_alone_on_its_line_is_indented() -> None:
    lines = "{{#*inline 'p'}}\none\n\ntwo\n{{/inline}}\n"
    assert rendered(lines + "<ul>\n  {{> p}}\n</ul>", {}) == "<ul>\n  one\n  \n  two\n</ul>"
    assert rendered(lines + "<ul>\n  {{> p}} x\n</ul>", {}) == "<ul>\n  one\n\ntwo\n x\n</ul>"
    nested = "{{#*inline 'q'}}\nq\n  {{> p}}\n{{/inline}}\n"
    assert rendered(lines + nested + "  {{> q}}\n", {}) == "  q\n    one\n    \n    two\n"
