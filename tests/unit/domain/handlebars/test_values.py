"""Where values are found, how they are printed, and what is missing."""

from typing import Any

import pytest

from posthouse.domain.handlebars import MissingAttribute, parse, render

DATA: dict[str, Any] = {
    "name": "Dana",
    "customer": {"first": "Dana", "address": {"city": "Oslo"}},
    "list": ["a", "b"],
    "seg ment": "blank",
    "x]y": "bracket",
    "null": None,
    "this": "own",
    "if": "conditional",
    "12": "twelve",
    "html": "<b>\"&'`=</b>",
}


def rendered(template: str, data: dict[str, Any] = DATA) -> str:
    return render(parse(template), data)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{name}}", "Dana"),
        ("{{ name }}", "Dana"),
        ("{{customer.first}} {{customer.address.city}}", "Dana Oslo"),
        ("{{customer/address/city}} {{customer/address.city}}", "Oslo Oslo"),
        ("{{this.name}} {{./name}} {{@root.name}}", "Dana Dana Dana"),
        ("{{list.0}}{{list.[1]}}{{list.length}}", "ab2"),
        ("{{[seg ment]}} {{this.[seg ment]}} {{'seg ment'}} {{\"seg ment\"}}", "blank blank blank blank"),
        ("{{[x\\]y]}}", "bracket"),
        ("{{[this]}} {{this.[this]}} {{this.this.name}}", "own own Dana"),
        ("{{./if}} {{this.if}}", "conditional conditional"),
        ("{{12}}", "twelve"),
        ("{{null}}", ""),
        ("{{lookup list 1}}{{lookup customer 'first'}}{{lookup (lookup . 'customer') \"first\"}}", "bDanaDana"),
        ("{{lookup list 7}}{{lookup name 'length'}}{{lookup null 'x'}}", ""),
        ("{{log name}}", ""),
        ("{{! a note }}{{!-- {{name}} --}}", ""),
    ],
)
def test_a_value_is_found(template: str, text: str) -> None:
    assert rendered(template) == text


@pytest.mark.parametrize("template", ["{{html}}", "{{{html}}}", "{{&html}}", "{{~{html}~}}", "{{lookup this 'html'}}"])
def test_nothing_is_escaped_for_html(template: str) -> None:
    assert rendered(template) == DATA["html"]


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{{absent}}", "absent"),
        ("{{customer.absent}}", "customer.absent"),
        ("{{customer.absent.more}}", "customer.absent.more"),
        ("{{name.first}}", "name.first"),
        ("{{null.x}}", "null.x"),
        ("{{{absent}}}", "absent"),
        ("{{list.2}}", "list.2"),
        ("{{list.[-1]}}", "list.-1"),
        ("{{list.01}}", "list.01"),
        ("{{../name}}", "../name"),
        ("{{@root.absent}}", "@root.absent"),
        ("{{@index}}", "@index"),
        ("{{@absent}}", "@absent"),
        ("{{#each list}}{{name}}{{/each}}", "name"),
        ("{{#if name}}{{absent}}{{/if}}", "absent"),
        ("{{lookup absent 'x'}}", "absent"),
        ("{{lookup list absent}}", "absent"),
        ("{{#*inline 'p'}}{{x}}{{/inline}}{{> p x=absent}}", "absent"),
        ("{{#*inline 'p'}}{{x}}{{/inline}}{{> p absent}}", "absent"),
        ("{{#*inline 'p'}}{{x}}{{/inline}}{{> p}}", "x"),
    ],
)
def test_a_missing_attribute_is_an_error_that_names_it_as_written(template: str, name: str) -> None:
    with pytest.raises(MissingAttribute) as error:
        rendered(template)
    assert error.value.name == name


@pytest.mark.parametrize(
    "template",
    [
        "{{#if absent}}x{{/if}}",
        "{{#if absent.more}}x{{else if also.absent}}y{{/if}}",
        "{{#each absent}}x{{/each}}",
        "{{#with absent}}x{{/with}}",
        "{{#absent}}x{{/absent}}",
        "{{#absent.more}}x{{/absent.more}}",
        "{{#if (lookup absent 'x')}}x{{/if}}",
        "{{#if name}}{{else}}{{absent}}{{/if}}",
    ],
)
def test_what_decides_a_block_may_be_missing(template: str) -> None:
    assert rendered(template) == ""


@pytest.mark.parametrize("template", ["{{#unless absent}}y{{/unless}}", "{{^absent}}y{{/absent}}"])
def test_what_is_missing_is_false(template: str) -> None:
    assert rendered(template) == "y"


@pytest.mark.parametrize(
    "name",
    [
        *("__class__", "__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "keys", "items", "get"),
        *("__dict__", "__init__", "mro", "f_globals", "format", "join", "length"),
    ],
)
@pytest.mark.parametrize("value", ["", "text", 1, 1.5, True, {}, []])
def test_nothing_of_the_host_language_can_be_reached(name: str, value: Any) -> None:
    if type(value) is list and name == "length":
        return
    for template in ("{{NAME}}", "{{value.NAME}}", "{{#each values}}{{this.NAME}}{{/each}}"):
        with pytest.raises(MissingAttribute):
            rendered(template.replace("NAME", name), {"value": value, "values": [value]})
    found = rendered(f"{{{{lookup value '{name}'}}}}", {"value": value})
    assert found == ""


def test_names_that_mean_something_elsewhere_are_data_like_others() -> None:
    data = {"__proto__": "a", "constructor": {"name": "b"}, "length": "c"}
    assert rendered("{{__proto__}}{{constructor.name}}{{length}}{{lookup . '__proto__'}}", data) == "abca"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"), (1.0, "1"), (-0.0, "0"), (0, "0"), (-7, "-7"), (2.50, "2.5"), (1e21, "1e+21"), (1e20, "1" + "0" * 20),
        (123456789012345680000, "123456789012345680000"), (12345678901234567890, "12345678901234567000"),
        (2**53, "9007199254740992"), (2**53 + 1, "9007199254740992"), (-(2**53) - 1, "-9007199254740992"),
        (0.000001, "0.000001"), (1e-7, "1e-7"), (1.5e-7, "1.5e-7"), (-1.25e-9, "-1.25e-9"), (1.7976931348623157e308,
        "1.7976931348623157e+308"), (5e-324, "5e-324"), (0.1, "0.1"), (100.125, "100.125"), (10**400, "Infinity"),
        (-(10**400), "-Infinity"), (1.5e300, "1.5e+300"), (True, "true"), (False, "false"), (None, ""), ("", ""),
        ([], ""), ([1, [2, [3.0, None], []], "x"], "1,2,3,,,x"), ([None], ""), ([[], []], ","), ({}, "[object Object]"),
        ([{}, {"a": 1}], "[object Object],[object Object]"), ([True, False], "true,false"),
    ],
)  # fmt: skip
def test_values_are_printed_as_javascript_prints_them(value: Any, text: str) -> None:
    assert rendered("{{value}}", {"value": value}) == text


def test_literals_are_values_of_arguments() -> None:
    for literal, text in (("true", "yes"), ("5", "yes"), ("'x'", "yes"), ("false", "no"), ("0", "no"), ("''", "no")):
        assert rendered(f"{{{{#if {literal}}}}}yes{{{{else}}}}no{{{{/if}}}}", {}) == text
    assert rendered("{{#if null}}{{else}}n{{/if}}{{#if undefined}}{{else}}u{{/if}}", {}) == "nu"
    data = {"m": {'say "hi"': "quoted", "1": "one"}}
    assert rendered('{{lookup m "say \\"hi\\""}} {{lookup m 1.0}}', data) == "quoted one"
