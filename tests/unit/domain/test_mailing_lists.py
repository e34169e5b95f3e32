"""What the header of a mailing list says."""

import pytest

from posthouse.domain.mailing_lists import MailingList, binding_topics, read_options
from posthouse.model.errors import InvalidParameterValue


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("news", MailingList("news")),
        ("My_list-2; topic=offers", MailingList("My_list-2", "offers")),
        (" news ;topic = offers ; ", MailingList("news", "offers")),
        ("news;", MailingList("news")),
    ],
)
def test_a_list_and_a_topic_are_read(text: str, read: MailingList) -> None:
    assert read_options(text) == read


@pytest.mark.parametrize(
    "text",
    ["", ";", "two words", "news; topic=", "news; topic=a; topic=b", "news; other=x", "n\n", "é", "x" * 65, "{news}"],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameterValue, match="LIST-MANAGEMENT-OPTIONS"):
        read_options(text)


def test_who_left_the_list_left_all_of_its_topics() -> None:
    assert binding_topics("offers") == ("", "offers")
    assert binding_topics("") == ("", "")
