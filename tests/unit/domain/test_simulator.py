"""The mailbox simulator's addresses."""

import pytest

from posthouse.domain.outcomes import BounceKind, bounce_kind, diagnostic_code
from posthouse.domain.simulator import Box, box_of, count_simulated, reply_of, simulator_domains

DOMAINS = simulator_domains("Posthouse.test")


def test_the_simulator_lives_under_two_names() -> None:
    assert {"simulator.amazonses.com", "simulator.posthouse.test"} == DOMAINS
    addresses = (
        "a@simulator.AMAZONSES.com",
        "b@simulator.posthouse.test",
        "c@amazonses.com",
        "simulator.posthouse.test",
    )
    assert count_simulated(addresses, DOMAINS) == 2


@pytest.mark.parametrize("box", Box)
def test_a_label_may_follow_the_name(box: Box) -> None:
    for address in (f"{box.value}@s", f"{box.value}+order12@s", f"{box.value.upper()}+a+b@s"):
        assert box_of(address) is box


@pytest.mark.parametrize("name", ["success", "ooto", "complaint+x"])
def test_most_mailboxes_take_the_mail(name: str) -> None:
    assert reply_of(f"{name}@simulator.amazonses.com").code == 250


@pytest.mark.parametrize("name", ["bounce", "bounce+1", "nobody", "+success", ""])
def test_the_rest_is_unknown(name: str) -> None:
    reply = reply_of(f"{name}@simulator.amazonses.com")
    assert bounce_kind(reply) == BounceKind("Permanent", "General")
    assert (reply.enhanced, diagnostic_code(reply)) == ("5.1.1", "smtp; 550 5.1.1 user unknown")


def test_the_suppression_list_answers_as_the_service_does() -> None:
    reply = reply_of("suppressionlist@simulator.amazonses.com")
    assert bounce_kind(reply) == BounceKind("Permanent", "Suppressed")
    assert diagnostic_code(reply).startswith("Amazon SES has suppressed sending to this address because")
    assert diagnostic_code(reply).endswith("remove-from-suppressionlist.html ")
