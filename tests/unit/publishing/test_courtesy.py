"""Publishing steps back while mail is taken in and the processor is scarce, and at no other time."""

import asyncio

import pytest

from posthouse.publishing.courtesy import LATE_MS, LATE_PACE, PACE, SENDING_S, SMALL, Courtesy


class Machine:
    """A processor that this thread gets, or does not."""

    def __init__(self) -> None:
        self.now = 100.0
        self.ran = self.waited = 0
        self.text: str | None = None
        self.sending = asyncio.Event()
        self.courtesy = Courtesy(self.sending, self.read, lambda: self.now)

    def read(self) -> str:
        return f"{self.ran} {self.waited} 7\n" if self.text is None else self.text

    def passes(self, seconds: float, waiting: float) -> None:
        """So long, of which this thread wanted to run all the time and had to wait for a part."""
        self.now += seconds
        self.ran += int(seconds * (1 - waiting) * 1e9)
        self.waited += int(seconds * waiting * 1e9)


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_nobody_waits_on_a_machine_with_room(machine: Machine) -> None:
    machine.sending.set()
    machine.passes(1, waiting=0.05)
    assert (machine.courtesy.rest_s(500, 0), machine.courtesy.at_once(500)) == (0, 500)


def test_nobody_waits_while_no_mail_comes_in(machine: Machine) -> None:
    machine.passes(1, waiting=0.9)
    assert (machine.courtesy.rest_s(500, 0), machine.courtesy.at_once(500)) == (0, 500)
    machine.sending.set()
    machine.passes(1, waiting=0.9)
    assert machine.courtesy.at_once(500) == SMALL
    machine.passes(SENDING_S + 0.1, waiting=0.9)
    assert (machine.courtesy.rest_s(500, 0), machine.courtesy.at_once(500)) == (0, 500)


def test_all_senders_together_keep_the_pace(machine: Machine) -> None:
    machine.sending.set()
    machine.passes(1, waiting=0.5)
    assert machine.courtesy.rest_s(50, 0) == pytest.approx(50 / PACE)
    assert machine.courtesy.rest_s(50, 0) == pytest.approx(100 / PACE)


def test_what_has_waited_for_long_is_told_faster(machine: Machine) -> None:
    machine.sending.set()
    machine.passes(1, waiting=0.5)
    assert machine.courtesy.rest_s(50, LATE_MS) == pytest.approx(50 / LATE_PACE)


@pytest.mark.parametrize("text", ["", "x y z", "1"])
def test_a_kernel_that_does_not_count_is_no_reason_to_wait(machine: Machine, text: str) -> None:
    machine.text = text
    courtesy = Courtesy(machine.sending, machine.read, lambda: machine.now)
    machine.sending.set()
    machine.passes(1, waiting=0.9)
    assert courtesy.rest_s(500, 0) == 0


def test_each_lane_keeps_the_pace_by_itself(machine: Machine) -> None:
    machine.sending.set()
    machine.passes(1, waiting=0.5)
    assert machine.courtesy.rest_s(50, 0) == pytest.approx(50 / PACE)
    assert machine.courtesy.rest_s(50, 0, "routing") == pytest.approx(50 / PACE)
    assert machine.courtesy.rest_s(50, 0, "routing") == pytest.approx(100 / PACE)
