"""The door of the command line: what is loaded when, and how trouble ends."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from posthouse.cli import entry
from posthouse.cli.entry import VERBS, main


def loaded_by(code: str) -> set[str]:
    """Modules that a fresh interpreter has after running `code`."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_the_list_of_verbs_loads_none_of_them() -> None:
    loaded = loaded_by("from posthouse.cli import main\nmain(['--help'], standalone_mode=False)")
    assert "posthouse.cli.entry" in loaded
    assert not loaded & {"posthouse.cli.serve", "posthouse.assembly", "msgspec", "asyncio", "uvicorn"}


def test_serve_loads_little_before_it_has_its_ports() -> None:
    """Callers wait at a bound port, and are refused at one that is not bound yet."""
    loaded = loaded_by("import posthouse.cli.serve")
    assert not loaded & {"posthouse.assembly", "msgspec", "asyncio", "uvicorn", "uvloop", "cryptography"}


@pytest.mark.parametrize("verb", VERBS)
def test_the_list_of_verbs_says_what_each_says_of_itself(verb: str) -> None:
    command = main.get_command(click.Context(main), verb)
    assert command is not None
    assert command.name == verb
    assert (command.help or "").startswith(VERBS[verb].removesuffix("."))


def test_an_unknown_verb_is_bad_usage() -> None:
    assert CliRunner().invoke(main, ["suppress"]).exit_code == 2


@pytest.mark.parametrize("words", [["account", "show"], ["serve"], ["migrate"], ["doctor"], ["send", "--from", "a@b"]])
def test_bad_configuration_is_one_line_and_status_2(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTHOUSE_DELIVERY__MODE", "carrier-pigeon")
    if words[0] == "send":
        words = [*words, "--to", "c@d"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.startswith("posthouse: delivery.mode = 'carrier-pigeon': allowed is ")
    assert done.stderr.count("\n") == 1


def test_version_needs_no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTHOUSE_DELIVERY__MODE", "carrier-pigeon")
    done = CliRunner().invoke(main, ["version"])
    assert done.exit_code == 0
    assert done.stdout.startswith("posthouse ")


def test_what_the_system_refuses_is_one_line_and_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command("broken")
    def broken() -> None:
        Path("/proc/no-such-directory/x").read_bytes()

    monkeypatch.setattr(entry.Verbs, "get_command", lambda *_: broken)
    done = CliRunner().invoke(main, ["broken"])
    assert done.exit_code == 1
    assert done.stderr == "posthouse: /proc/no-such-directory/x: No such file or directory\n"


@pytest.mark.parametrize("value", ["12345678901", "１２３４５６７８９０１２", "123456789012\n", "abc"])
def test_an_account_is_twelve_digits(value: str) -> None:
    assert CliRunner().invoke(main, ["version", "--account", value]).exit_code == 2
