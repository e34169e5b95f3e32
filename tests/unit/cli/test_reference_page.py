"""docs/reference/command-line.md names every verb and option there is, and the list of verbs says what they say."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from posthouse.cli.entry import VERBS, main

PAGE = (Path(__file__).parents[3] / "docs/reference/command-line.md").read_text()
COMMON = {"account", "region", "config_file", "data_dir"}


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every verb that does something, with its words."""
    context = click.Context(main)
    for verb in VERBS:
        found = main.get_command(context, verb)
        assert found is not None
        if isinstance(found, click.Group):
            yield from ((f"{verb} {name}", each) for name, each in found.commands.items())
        else:
            yield verb, found


every_command = pytest.mark.parametrize(("words", "command"), [pytest.param(*each, id=each[0]) for each in commands()])


def section(words: str) -> str:
    """What the page says of a verb: its chapter."""
    return PAGE.partition(f"\n## {words.split()[0]}\n")[2].partition("\n## ")[0]


@every_command
def test_the_page_names_every_verb_and_option(words: str, command: click.Command) -> None:
    text = section(words)
    assert text, words
    if " " in words:
        assert re.search(rf"^\| `{words}[ `]", text, re.MULTILINE), words
    for param in command.params:
        if isinstance(param, click.Option) and param.name not in COMMON:
            for option in (*param.opts, *param.secondary_opts):
                assert f"`{option}" in text or f" {option}`" in text, f"{words} {option}"


@every_command
def test_every_verb_takes_the_common_options(words: str, command: click.Command) -> None:
    assert {param.name for param in command.params} >= COMMON, words


@every_command
def test_every_listing_has_json(words: str, command: click.Command) -> None:
    if words.endswith((" list", " show", " events", " dns")) or words == "doctor":
        assert "as_json" in {param.name for param in command.params}, words


def test_every_option_says_what_it_is_for() -> None:
    for words, command in commands():
        assert command.help, words
        for param in command.params:
            if isinstance(param, click.Option):
                assert param.help or param.show_default, f"{words} {param.name}"


def test_the_page_names_no_verb_that_is_not_there() -> None:
    known = {words for words, _ in commands()} | set(VERBS)
    assert set(re.findall(r"^\| `([a-z]+ [a-z-]+)", PAGE, re.MULTILINE)) == {words for words in known if " " in words}
    assert set(re.findall(r"^## ([a-z]+)$", PAGE, re.MULTILINE)) == set(VERBS)
