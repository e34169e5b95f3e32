"""What ends a verb: one line for the operator, and the exit status."""

from typing import IO, Any

import click


class Failed(click.ClickException):
    """The verb did not do what it was asked for; click prints the line and exits with the status."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"posthouse: {self.message}", file=file, err=file is None)


class Misconfigured(Failed):
    """The configuration cannot be used."""

    exit_code = 2


def of_os_error(error: OSError) -> Failed:
    """The file or address first, then what is wrong with it."""
    if error.filename is None:
        return Failed(error.strerror if error.args[1:] and error.strerror else str(error))
    return Failed(f"{error.filename}: {error.strerror}")
