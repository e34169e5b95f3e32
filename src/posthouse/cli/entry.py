"""`main`: finds the verb and imports no other one; `posthouse serve` has to answer within half a second."""

import errno
from importlib import import_module

import click

from posthouse.cli.failure import Misconfigured, of_os_error
from posthouse.config import ConfigError

VERBS = {
    "serve": "Run the server.",
    "account": "Sandbox, quota, rate and pause of accounts.",
    "credentials": "Access keys and SMTP passwords.",
    "identity": "Addresses and domains that may send.",
    "message": "What was sent and what came in.",
    "queue": "Outgoing recipients that wait.",
    "suppression": "Addresses that mail is no longer sent to.",
    "topic": "Topics of the embedded SNS.",
    "send": "Send a test mail through the API or SMTP.",
    "doctor": "Check this installation.",
    "migrate": "Bring the database to this version's schema.",
    "version": "Print the version.",
}
"""Each verb with the line that the list of verbs shows; it is the `command` of the module of the same name."""


class Verbs(click.Group):
    """The verbs, none of them imported before it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        found: click.Command = import_module(f"posthouse.cli.{cmd_name}").command
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            raise Misconfigured(str(error)) from None
        except OSError as error:
            if error.errno == errno.EPIPE:  # `posthouse message list | head`: click ends that silently
                raise
            raise of_os_error(error) from None


main = Verbs(
    name="posthouse",
    help="Amazon SES on your own machine. `posthouse VERB --help` tells more.",
    context_settings={"help_option_names": ["-h", "--help"]},
    subcommand_metavar="VERB ...",
)
