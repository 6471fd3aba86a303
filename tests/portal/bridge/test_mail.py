"""Reading messages: what is taken, what is refused, and that nothing makes the reader fail otherwise."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterwire import messages, topics
from meterwire.errors import FormatError
from portal.bridge.mail import read
from tests.portal.bridge.peer import batch, state
from tests.portal.stage import telegram

EUI = "70b3d57ed00c0001"
DEV_EUI = "70b3d57ed1000001"
UP = topics.topic(EUI, topics.UP_TELEGRAM)


def raw(*telegrams: messages.Telegram, **changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(messages.encode(batch(*telegrams)))
    return {**body, **changes}


def test_each_branch_is_read_as_what_it_is() -> None:
    one = telegram(DEV_EUI)
    mail = read(UP, messages.encode(batch(one)))
    assert (mail.eui, mail.telegrams, mail.refusals, mail.weight) == (EUI, (one,), [], 1)
    here = state()
    assert read(topics.topic(EUI, topics.STATE), messages.encode(here)).state == here


@pytest.mark.parametrize("topic", ["mspan/1/EUI/up/telegram", "mspan/2/70b3d57ed00c0001/up/telegram", "x", ""])
def test_a_foreign_topic_is_refused(topic: str) -> None:
    with pytest.raises(FormatError):
        read(topic, b"{}")


def test_the_portals_own_branches_are_not_heard() -> None:
    assert read(topics.topic(EUI, topics.DN_COMMAND), b"{}").refusals[0].code == "format"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "format"),
        (b"{", "format"),
        (b"\xff\xfe", "format"),
        (b"[" * 100_000, "format"),
        (json.dumps(raw(telegram(DEV_EUI), v=2)).encode(), "unsupported_version"),
        (b" " * (messages.MAX_MESSAGE_BYTES + 1), "limit"),
        (json.dumps({"v": 1, "id": "x", "time": "x", "telegrams": [0] * 100_000}).encode(), "limit"),
        (json.dumps({"v": 1, "id": "x", "time": "x", "telegrams": [0] * 1_000}).encode(), "limit"),
        (json.dumps(raw(telegram(DEV_EUI), telegrams=[])).encode(), "format"),
    ],
    ids=["empty", "cut", "no text", "nested", "version", "long", "100,000 entries", "1,000 entries", "no entry"],
)
def test_a_message_that_is_none_is_refused_as_a_whole(body: bytes, code: str) -> None:
    mail = read(UP, body)
    assert [refusal.code for refusal in mail.refusals] == [code]
    assert mail.telegrams == ()


def test_one_unreadable_telegram_does_not_cost_the_others() -> None:
    good, bad, nameless = telegram(DEV_EUI), telegram(DEV_EUI), telegram(DEV_EUI)
    body = raw(good, bad, nameless)
    body["telegrams"][1]["dr"] = 99
    body["telegrams"][2]["id"] = "?"
    mail = read(UP, json.dumps(body).encode())
    assert mail.telegrams == (good,)
    assert [(refusal.code, refusal.id) for refusal in mail.refusals] == [("format", bad.id), ("format", None)]


@given(st.binary(max_size=300) | st.text().map(str.encode), st.sampled_from([*topics.UPWARD, *topics.DOWNWARD]))
def test_no_input_makes_the_reader_raise(body: bytes, branch: str) -> None:
    mail = read(topics.topic(EUI, branch), body)
    assert mail.refusals


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_no_telegrams_make_the_reader_raise(content: Any) -> None:
    body = json.dumps({"v": 1, "id": "x", "time": "x", "telegrams": [content]}).encode()
    assert read(UP, body).telegrams == ()


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("id", "8ZZZZZZZZZZZZZZZZZZZZZZZZZ"),
        ("id", "01aaaaaaaaaaaaaaaaaaaaaaaa"),
        ("dev_eui", "70B3D57ED1000001"),
        ("dev_eui", "70b3d57ed100000\n"),
        ("dev_eui", "70b3d57ed100000\0"),
        ("received_at", "2026-01-01T11:00:00.000+"),
        ("received_at", "٢٠٢٦-01-01T11:00:00.000Z"),
    ],
)
def test_a_telegram_with_a_text_of_another_alphabet_is_refused_alone(field: str, text: str) -> None:
    good, bad = telegram(DEV_EUI), telegram(DEV_EUI)
    body = raw(good, bad)
    body["telegrams"][1][field] = text
    mail = read(UP, json.dumps(body).encode())
    assert mail.telegrams == (good,)
    assert [refusal.code for refusal in mail.refusals] == ["format"]


def test_a_gateway_name_is_checked_too() -> None:
    body = raw(telegram(DEV_EUI))
    body["telegrams"][0]["rx"][0]["gw"] = "X" * 16
    assert read(UP, json.dumps(body).encode()).refusals
