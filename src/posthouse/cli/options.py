"""The options that every verb takes, and the kinds of values that several of them share."""

import functools
import os
import re
from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

import click

from posthouse.config import Config, load
from posthouse.domain.scope import Scope

DEFAULT_REGION = "us-east-1"

F = TypeVar("F", bound=Callable[..., Any])


class Invocation:
    """Where a verb works and for whom, as the options and the environment say."""

    def __init__(self, account: str | None, region: str | None, config_file: str | None, data_dir: str | None) -> None:
        self.account, self.region = account, region
        self._config_file, self._data_dir = config_file, data_dir

    @cached_property
    def config(self) -> Config:
        """Read when it is first needed, the same way `serve` reads it. Raises ConfigError."""
        return load(self._config_file, os.environ, {"data_dir": self._data_dir})

    @property
    def scope(self) -> Scope:
        return Scope(self.account or self.config.auth.account_id, self.region or DEFAULT_REGION)

    def covers(self, scope: Scope) -> bool:
        """False where the options name another account or region: what is found by an id of its own needs neither."""
        return self.account in (None, scope.account) and self.region in (None, scope.region)

    @property
    def named_scope(self) -> str:
        """What the options name, as the end of a sentence."""
        named = f" in account {self.account}" if self.account else ""
        return f"{named} in {self.region}" if self.region else named


class Matching(click.ParamType[str]):
    """A text of one form."""

    def __init__(self, name: str, pattern: str, allowed: str) -> None:
        self.name, self._pattern, self._allowed = name, re.compile(pattern), allowed

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not self._pattern.fullmatch(str(value)):
            self.fail(f"{value!r}: allowed is {self._allowed}", param, ctx)
        return str(value)


ACCOUNT = Matching("ID", "[0-9]{12}", "12 digits")
REGION = Matching("REGION", "[a-z][a-z0-9-]{0,62}", "a region such as us-east-1")
MESSAGE_ID = Matching("MESSAGE_ID", "[A-Za-z0-9_-]{1,128}", "a message id")


def scoped(verb: F) -> F:
    """Gives a verb the options of every verb; it is called with an `Invocation` in their place."""

    @click.option("--account", type=ACCOUNT, help="Whose; by default auth.account_id.")
    @click.option("--region", type=REGION, help=f"In which region; by default {DEFAULT_REGION}.")
    @click.option("--config", "config_file", type=click.Path(), help="The configuration file.")
    @click.option("--data-dir", type=click.Path(), help="Instead of data_dir of the configuration.")
    @functools.wraps(verb)
    def called(
        account: str | None, region: str | None, config_file: str | None, data_dir: str | None, **given: Any
    ) -> Any:
        return verb(Invocation(account, region, config_file, data_dir), **given)

    return called  # type: ignore[return-value]


def as_json(verb: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")(verb)


def everywhere(verb: F) -> F:
    return click.option("--all", "everywhere", is_flag=True, help="Every account and region.")(verb)


def limit(default: int) -> Callable[[F], F]:
    return click.option(
        "--limit", type=click.IntRange(1, 100_000), default=default, show_default=True, help="How many at most."
    )
