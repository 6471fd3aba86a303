"""Topics name one concentrator and one branch, and nothing else is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterwire.errors import FormatError
from meterwire.topics import DOWNWARD, UPWARD, parse, subscription, topic

HOUSE = "0016c001ff10a235"


@pytest.mark.parametrize("branch", UPWARD + DOWNWARD)
def test_a_topic_is_read_as_it_was_made(branch: str) -> None:
    assert topic(HOUSE, branch) == f"mspan/1/{HOUSE}/{branch}"
    assert parse(topic(HOUSE, branch)) == (HOUSE, branch)


@pytest.mark.parametrize("name", ["+", "#", HOUSE.upper(), HOUSE[1:], HOUSE + "\n", f"{HOUSE}/up", ""])
def test_a_name_that_is_no_concentrator_makes_no_topic(name: str) -> None:
    with pytest.raises(FormatError):
        topic(name, "state")


def test_a_branch_that_does_not_exist_makes_no_topic() -> None:
    with pytest.raises(FormatError):
        topic(HOUSE, "up/everything")


@given(st.text(max_size=60) | st.sampled_from(["mspan/1/", f"mspan/1/{HOUSE}/", f"mspan/2/{HOUSE}/state"]))
def test_foreign_topics_are_refused(name: str) -> None:
    with pytest.raises(FormatError):
        parse(name)


def test_the_portal_hears_a_branch_of_every_concentrator() -> None:
    assert subscription("up/telegram") == "mspan/1/+/up/telegram"
