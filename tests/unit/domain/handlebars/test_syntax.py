"""What is no template, and what looks odd and is one."""

import pytest

from posthouse.domain.handlebars import SyntaxFailure, parse, render


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{#if a}}", "line 1: {{#if}} is not closed"),
        ("a\nb\n{{#each a}}\n{{#if b}}{{/each}}", "line 4: {{/each}} does not close if"),
        ("{{/if}}", "line 1: '{{/' is not expected here"),
        ("{{else}}", "line 1: '{{else}}' is not expected here"),
        ("{{#if a}}{{else}}{{else}}{{/if}}", "line 1: '{{else}}' is not expected here"),
        ("{{#if a}}{{else}}{{else if b}}{{/if}}", "line 1: '{{else' is not expected here"),
        ("Hi {{name", "line 1: the tag '{{name' cannot be read"),
        ("Hi {{name}", "line 1: the tag '{{name}' cannot be read"),
        ("{{{name}}", "line 1: '}}' is not expected here"),
        ("{{name}}}", "line 1: '}}}' is not expected here"),
        ("{{}}", "line 1: '}}' is not expected here"),
        ("{{a b=}}", "line 1: '}}' is not expected here"),
        ("{{a..b}}", "line 1: there is no helper a"),
        ("{{a/../b}}", "line 1: a/.. is not a path"),
        ("{{'a}}", 'line 1: the tag "{{\'a}}" cannot be read'),
        ("{{foo bar}}", "line 1: there is no helper foo"),
        ("{{foo bar=1}}", "line 1: there is no helper foo"),
        ("{{#foo bar}}{{/foo}}", "line 1: there is no helper foo"),
        ("{{#if (foo)}}{{/if}}", "line 1: there is no helper foo that gives a value"),
        ("{{#if (if a)}}{{/if}}", "line 1: there is no helper if that gives a value"),
        ("{{#if}}{{/if}}", "line 1: #if takes exactly one argument"),
        ("{{#each a b}}{{/each}}", "line 1: #each takes exactly one argument"),
        ("{{if a}}", "line 1: if is a block: {{#if ...}}"),
        ("{{each}}", "line 1: each is a block: {{#each ...}}"),
        ("{{#lookup a b}}{{/lookup}}", "line 1: lookup is not a block"),
        ("{{lookup a}}", "line 1: lookup takes two arguments"),
        ("{{> p a b}}{{#*inline 'p'}}{{/inline}}", "line 1: a partial takes one context at most"),
        ("{{#*inline}}{{/inline}}", "line 1: an inline partial needs a name in quotes"),
        ("{{#*inline p}}{{/inline}}", "line 1: an inline partial needs a name in quotes"),
        ("{{#*inline 'p'}}{{else}}{{/inline}}", "line 1: an inline partial has no else"),
        ("{{#*other 'p'}}{{/other}}", "line 1: there is no decorator other"),
        ("{{*inline 'p'}}", "line 1: there is no such decorator"),
        ("{{! a note", "line 1: a comment is not closed"),
        ("{{!-- a note }}", "line 1: a comment is not closed"),
        ("{{{{raw}}}} x", "line 1: a raw block is not closed"),
        ("{{{{if a}}}}x{{{{/unless}}}}", "line 1: {{/unless}} does not close if"),
        ("{{#each l as |}}{{/each}}", "line 1: '}}' is not expected here"),
        ("{{#each l as || }}{{/each}}", "line 1: '|' is not expected here"),
    ],
)
def test_what_is_no_template_is_told_with_its_line(template: str, reason: str) -> None:
    with pytest.raises(SyntaxFailure) as error:
        parse(template)
    assert error.value.reason == reason


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("", ""),
        ("{", "{"),
        ("} }} }}}", "} }} }}}"),
        ("a { b } c", "a { b } c"),
        (r"\{{n}} {{n}}", "{{n}} N"),
        (r"a \{{n}}\{{n}} b", "a {{n}}{{n}} b"),
        (r"\\{{n}}", "\\N"),
        (r"\\\{{n}}", r"\\N"),
        (r"\{{n}}\\{{n}}", r"{{n}}\N"),
        (r"\{{{n}}}", "{{{n}}}"),
        ("back\\slash", "back\\slash"),
        ("{{{{if n}}}} {{n}} {{{{raw}}}}{{{{/raw}}}} {{{{/if}}}}!", " {{n}} {{{{raw}}}}{{{{/raw}}}} !"),
        ("{{!-- --}} {{! }}x", " x"),
        ("{{#if n}}{{!}}{{/if}}", ""),
        ("{{\nn\n}}", "N"),
        ("{{n-x}}{{n_x}}{{n:x}}{{$}}{{ünï}}", "12345"),
        ("{{elsewhere}}", "there"),
    ],
)
def test_odd_templates(template: str, text: str) -> None:
    data = {"n": "N", "n-x": 1, "n_x": 2, "n:x": 3, "$": 4, "ünï": 5, "elsewhere": "there"}
    assert render(parse(template), data) == text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("a {{~n~}} b", "aNb"),
        ("a {{~#if n~}} b {{~else~}} c {{~/if~}} d", "abd"),
        ("a\n\n{{~!x~}}\n b", "ab"),
        ("{{#if n}}\nx\n{{/if}}\ny", "x\ny"),
        ("  {{#if n}}  \r\nx\r\n  {{/if}}\r\ny", "x\r\ny"),
        ("{{#if absent}}\na\n{{else}}\nb\n{{/if}}\n", "b\n"),
        ("a {{#if n}}\nx\n{{/if}} b", "a \nx\n b"),
        ("a\n  {{! note }}\nb", "a\nb"),
        ("a\n  {{n}}\nb", "a\n  N\nb"),
    ],
)
def test_white_space(template: str, text: str) -> None:
    assert render(parse(template), {"n": "N"}) == text
