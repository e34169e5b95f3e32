"""Quotas, rates and switches with two door processes: what one lets through, the other knows of at once.

Which process answers is chosen by holding the other one still.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.support.sdk import ses_client
from tests.support.server import ACCESS_KEY, SECRET_KEY, Server

QUOTA = ("Throttling", "Daily message quota exceeded.")
RATE = ("Throttling", "Maximum sending rate exceeded.")
CALLS = ("Throttling", "Rate exceeded")
OFF = ("AccountSendingPausedException", "Account sending is disabled.")
PAUSED = (
    "MessageRejected",
    "Sending paused for this account. For more information, please check the inbox of the email address associated "
    "with your AWS account.",
)


class TwoDoors(Server):
    """A server with two processes at the doors."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(
            {"processes.doors": 2, "processes.engines": 1, **{k.replace("__", "."): v for k, v in settings.items()}}
        )

    def start(self, ready: bool = True) -> None:
        super().start(ready)
        for door in (0, 1):
            with self.through(door):
                self.wait_ready()

    @contextlib.contextmanager
    def through(self, door: int) -> Iterator[Any]:
        """A client whose calls this door process answers: the other one is held still meanwhile."""
        doors = self.children()[:2]
        os.kill(doors[1 - door], signal.SIGSTOP)
        try:
            yield ses_client(self.url)
        finally:
            os.kill(doors[1 - door], signal.SIGCONT)


def send(ses: Any, recipients: int = 1) -> tuple[str, str] | None:
    """One mail; what it was refused with."""
    try:
        ses.send_email(
            Source="a@shop.example",
            Destination={"ToAddresses": [f"r{number}@x.example" for number in range(recipients)]},
            Message={"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}}},
        )
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["Error"]["Message"]
    return None


def in_turn(server: TwoDoors, count: int) -> list[tuple[str, str] | None]:
    """As many mails, by one door and the other in turn."""
    answers = []
    for number in range(count):
        with server.through(number % 2) as ses:
            answers.append(send(ses))
    return answers


def test_the_daily_quota_is_exact_over_processes_and_restarts() -> None:
    with TwoDoors(accounts__max_24_hour_send=5, accounts__max_send_rate=-1) as server:
        ses_client(server.url).verify_domain_identity(Domain="shop.example")
        assert in_turn(server, 4) == [None] * 4
        with server.through(1) as ses:
            assert send(ses, recipients=3) is None  # something was left: it may overshoot once
        assert in_turn(server, 2) == [QUOTA] * 2
        server.restart()
        assert in_turn(server, 2) == [QUOTA] * 2
        for door in (0, 1):
            with server.through(door) as ses:
                quota = ses.get_send_quota()
                assert (quota["Max24HourSend"], quota["MaxSendRate"], quota["SentLast24Hours"]) == (5.0, -1.0, 7.0)


def test_the_rate_is_exact_over_processes_and_restarts() -> None:
    # One in a hundred seconds, so that none comes to be free while the test runs.
    with TwoDoors(accounts__max_24_hour_send=-1, accounts__max_send_rate=0.01) as server:
        ses_client(server.url).verify_domain_identity(Domain="shop.example")
        assert in_turn(server, 3) == [None, RATE, RATE]
        server.restart()
        assert in_turn(server, 2) == [RATE] * 2


def test_minus_one_is_no_limit() -> None:
    with TwoDoors(accounts__max_24_hour_send=-1, accounts__max_send_rate=-1) as server:
        ses_client(server.url).verify_domain_identity(Domain="shop.example")
        assert in_turn(server, 4) == [None] * 4
        quota = ses_client(server.url).get_send_quota()
        assert (quota["Max24HourSend"], quota["MaxSendRate"], quota["SentLast24Hours"]) == (-1.0, -1.0, 4.0)


@pytest.fixture(scope="module")
def server() -> Iterator[TwoDoors]:
    with TwoDoors() as server:
        ses_client(server.url).verify_domain_identity(Domain="shop.example")
        yield server


def test_sending_switched_by_one_door_is_switched_at_the_other_at_once(server: TwoDoors) -> None:
    assert in_turn(server, 2) == [None] * 2  # each door has seen the account as it was
    for enabled, expected in ((False, OFF), (True, None)) * 2:
        with server.through(1) as ses:
            ses.update_account_sending_enabled(Enabled=enabled)
        with server.through(0) as ses:
            assert send(ses) == expected
            assert ses.get_account_sending_enabled()["Enabled"] is enabled
        with server.through(1) as ses:
            assert send(ses) == expected


def test_an_account_paused_by_the_operator_sends_by_no_door(server: TwoDoors) -> None:
    for verb, expected in (("--pause", PAUSED), ("--resume", None)):
        assert server.cli("account", "set", verb).returncode == 0
        assert in_turn(server, 2) == [expected] * 2


def test_an_account_put_into_the_sandbox_is_there_at_both_doors(server: TwoDoors) -> None:
    assert server.cli("account", "set", "--sandbox").returncode == 0
    try:
        for door in (0, 1):
            with server.through(door) as ses:
                code, message = send(ses) or ("", "")
                assert (code, message.split(" The following")[0]) == (
                    "MessageRejected",
                    "Email address is not verified.",
                )
                assert ses.get_send_quota()["Max24HourSend"] == 200.0
    finally:
        assert server.cli("account", "set", "--production").returncode == 0


def test_calls_are_limited_by_operation_over_processes_but_sending_is_not() -> None:
    with TwoDoors(accounts__api_rate_limit=0.01) as server:
        ses_client(server.url).verify_domain_identity(Domain="shop.example")
        for door in (0, 1):
            with server.through(door) as ses:
                with pytest.raises(ClientError) as refused:
                    ses.verify_domain_identity(Domain="shop.example")
                error = refused.value.response
                assert (error["Error"]["Code"], error["Error"]["Message"]) == CALLS
                assert error["ResponseMetadata"]["HTTPStatusCode"] == 400
        with server.through(1) as ses:
            ses.list_identities()
        assert in_turn(server, 3) == [None] * 3
        other = ses_client(server.url, region="eu-west-1", key=ACCESS_KEY, secret=SECRET_KEY)
        other.list_identities()
