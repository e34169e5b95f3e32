"""Output for people and scripts, and that strangers' texts only print."""

import json

import pytest

from posthouse.cli.tables import moment, printable, show_json, table


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert table(("A", "LONGER"), [("value", 1), ("x", "y")]) == "A      LONGER\nvalue  1\nx      y"


def test_a_table_without_rows_shows_its_heads() -> None:
    assert table(("A", "B"), []) == "A  B"


@pytest.mark.parametrize("hostile", ["\x1b[2J", "a\nb", "\x9b31m", "\u202egpj.exe", "a\u2028b", "\x07", "\x7f", "\r"])
def test_control_characters_never_reach_a_terminal(hostile: str) -> None:
    assert not set(printable(hostile)) & set("\x1b\n\x9b\u202e\u2028\x07\x7f\r")
    assert "\N{REPLACEMENT CHARACTER}" in table((), [(hostile,)])


def test_json_keeps_every_character_and_prints_none_that_drives_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "ä\x1b[2J\x9b\u202e\x7f\u2028"
    show_json({"subject": hostile})
    shown = capsys.readouterr().out
    assert json.loads(shown) == {"subject": hostile}
    assert not set(shown) & set("\x1b\x9b\u202e\x7f\u2028")


def test_times_are_utc_to_the_second() -> None:
    assert moment(1_800_000_000_999) == "2027-01-15 08:00:00"
