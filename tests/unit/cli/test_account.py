"""How an operator's grants change an account."""

import click
import pytest

from posthouse.cli.account import Allowance, _granted, _limit, _new_account_id
from posthouse.domain.accounts import Account


def read(value: str) -> float | str | None:
    found: float | str | None = Allowance().convert(value, None, None)
    return found


def test_an_allowance_is_a_number_unlimited_or_the_default() -> None:
    assert (read("200"), read("0.5"), read("unlimited"), read("-1"), read("default")) == (200, 0.5, -1, -1, "default")


@pytest.mark.parametrize("value", ["", "1_000", "1e3", "-2", "nan", "inf", "１", " 1", "1\n", "none"])
def test_nothing_else_is_an_allowance(value: str) -> None:
    with pytest.raises(click.BadParameter):
        read(value)


def test_only_what_is_named_changes() -> None:
    account = Account(sandbox=True, max_24_hour_send=200, max_send_rate=1, paused=True)
    assert _granted(account, None, None, None) == account
    changed = _granted(account, False, "default", 14)
    assert changed == Account(sandbox=False, max_24_hour_send=None, max_send_rate=14, paused=True)


def test_limits_are_shown_as_people_write_them() -> None:
    assert [_limit(number) for number in (-1.0, 50000.0, 0.5, 1e9)] == ["unlimited", "50000", "0.5", "1000000000"]


def test_a_drawn_account_id_has_twelve_digits() -> None:
    assert all(len(_new_account_id()) == 12 for _ in range(100))
