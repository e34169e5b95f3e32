"""if, unless, each, with, plain blocks, else and block parameters."""

from typing import Any

import pytest

from posthouse.domain.handlebars import parse, render

FALSE = (False, None, 0, 0.0, "", [])
TRUE = (True, 1, -1, "0", " ", [0], {}, {"a": 1})


def rendered(template: str, data: dict[str, Any]) -> str:
    return render(parse(template), data)


@pytest.mark.parametrize(("values", "text"), [(FALSE, "no"), (TRUE, "yes")])
def test_truth_is_that_of_handlebars(values: tuple[Any, ...], text: str) -> None:
    for value in values:
        assert rendered("{{#if v}}yes{{else}}no{{/if}}", {"v": value}) == text
        assert rendered("{{#unless v}}no{{else}}yes{{/unless}}", {"v": value}) == text
        assert rendered("{{^if v}}no{{else}}yes{{/if}}", {"v": value}) == text


def test_zero_can_count_as_true() -> None:
    template = "{{#if v includeZero=true}}yes{{else}}no{{/if}}"
    assert [rendered(template, {"v": v}) for v in (0, 1, "", False, [], {})] == ["yes", "yes", "no", "no", "no", "yes"]
    assert rendered("{{#if v includeZero=w}}yes{{else}}no{{/if}}", {"v": 0, "w": False}) == "no"


@pytest.mark.parametrize(("data", "text"), [({"a": 1}, "A"), ({"b": 1}, "B"), ({"c": []}, "C"), ({"c": 1}, "D")])
def test_chains_of_else(data: dict[str, Any], text: str) -> None:
    assert rendered("{{#if a}}A{{else if b}}B{{else unless c}}C{{else}}D{{/if}}", data) == text


def test_else_goes_on_with_any_block() -> None:
    template = "{{#if a}}A{{else each list}}{{this}}{{else with o}}{{x}}{{else}}none{{/if}}"
    assert rendered(template, {"list": [1, 2]}) == "12"
    assert rendered(template, {"o": {"x": "X"}}) == "X"
    assert rendered(template, {}) == "none"


def test_each_goes_through_arrays() -> None:
    template = "{{#each l}}{{@index}}{{@key}}{{@first}}{{@last}}={{this}} {{else}}none{{/each}}"
    assert rendered(template, {"l": ["a", 5]}) == "00truefalse=a 11falsetrue=5 "
    for nothing in ({}, {"l": []}, {"l": "text"}, {"l": 5}, {"l": None}, {"l": {}}):
        assert rendered(template, nothing) == "none"


def test_each_goes_through_objects_in_the_order_of_their_json() -> None:
    template = "{{#each o}}{{@index}}.{{@key}}={{this}}{{#unless @last}}, {{/unless}}{{/each}}"
    assert rendered(template, {"o": {"b": 1, "a": 2, "7": 3}}) == "0.b=1, 1.a=2, 2.7=3"


def test_the_way_out_counts_contexts_and_not_blocks() -> None:
    data = {"n": "root", "l": [{"n": "item", "m": [{"n": "inner"}]}]}
    template = "{{#each l}}{{#if n}}{{../n}}{{#each m}}{{n}}{{../n}}{{../../n}}{{@../index}}{{/each}}{{/if}}{{/each}}"
    assert rendered(template, data) == "rootinneritemroot0"


def test_with_changes_the_context_and_takes_zero() -> None:
    assert rendered("{{#with o}}{{x}}{{../y}}{{else}}none{{/with}}", {"o": {"x": "X"}, "y": "Y"}) == "XY"
    assert rendered("{{#with o}}{{this}}{{else}}none{{/with}}", {"o": 0}) == "0"
    for nothing in ({"o": ""}, {"o": None}, {"o": False}, {"o": []}, {}):
        assert rendered("{{#with o}}x{{else}}none{{/with}}", nothing) == "none"
    assert rendered("{{#with o}}{{#with this}}{{../y}}{{/with}}{{/with}}", {"o": {"x": 1}, "y": "Y"}) == "Y"


def test_plain_blocks_do_what_the_value_says() -> None:
    template = "{{#v}}[{{this}}]{{else}}none{{/v}}"
    assert rendered(template, {"v": ["a", "b"]}) == "[a][b]"
    assert rendered("{{#v}}[{{x}}]{{/v}}", {"v": {"x": 1}}) == "[1]"
    assert rendered("{{#v}}[{{x}}]{{/v}}", {"v": True, "x": 2}) == "[2]"
    assert [rendered(template, {"v": v}) for v in (False, None, [])] == ["none"] * 3
    assert [rendered(template, {"v": v}) for v in (0, "", "s")] == ["[0]", "[]", "[s]"]


def test_block_parameters() -> None:
    data = {"l": [{"n": "a", "m": [1, 2]}], "o": {"k": "v"}}
    nested = "{{#each l as |item i|}}{{i}}{{item.n}}{{#each item.m as |x|}}{{x}}{{item.n}}{{/each}}{{/each}}"
    assert rendered(nested, data) == "0a1a2a"
    assert rendered("{{#each o as |value key|}}{{key}}={{value}}{{/each}}", data) == "k=v"
    assert rendered("{{#with o as |held|}}{{held.k}}{{k}}{{/with}}", data) == "vv"
    assert rendered("{{#each l as |l|}}{{#each l.m as |l|}}{{l}}{{/each}}{{/each}}", data) == "12"
    assert rendered("{{#each l as |if|}}{{if.n}}{{/each}}", data) == "a"
    assert rendered("{{#each l as |item|}}{{#with ../o as |p|}}{{item.n}}{{p.k}}{{/with}}{{/each}}", data) == "av"


def test_blocks_within_blocks_do_not_forget_their_loop() -> None:
    template = "{{#each rows}}{{#each this}}{{@../index}}{{@index}} {{/each}}{{@index}};{{/each}}"
    assert rendered(template, {"rows": [[1, 2], [3]]}) == "00 01 0;10 1;"
