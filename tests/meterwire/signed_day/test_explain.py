"""`meterwire explain` tells what a frame of a signed day says, and with the transport key whether it is authentic."""

import pytest

from meterwire.errors import AuthenticationError, ValueOutOfRange
from meterwire.explain.context import Context
from meterwire.explain.payload import explain
from meterwire.ids import DevEUI
from meterwire.seal import Key16
from tests.meterwire.vectors import load

FRAMES = {name: bytes.fromhex(octets) for name, octets in load("signed_day")["frames"].items()}
DEV_EUI, KEY = DevEUI.parse("70b3d57ed0061234"), Key16(bytes(range(16)))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "request",
            {"direction": "down", "day": "2026-01-01", "wanted": "telegrams", "first_counter": 75391, "count": 3},
        ),
        ("key", {"direction": "up", "seq": 1, "curve": "p-256", "authentic": None}),
        ("r", {"half": "r", "day": "2026-01-01", "telegrams": 96, "last_counter": 75490}),
        ("s", {"half": "s", "octets": bytes(range(32, 64)).hex()}),
        ("leaf", {"counter": 75391, "hash": bytes(range(32)).hex()}),
        ("runs", {"counters": [[75391, 75440], [75445, 75490]]}),
        ("refusal", {"wanted": "signature", "reason": "unsigned"}),
    ],
)
def test_a_frame_is_told(name: str, told: dict[str, object]) -> None:
    answer = explain(FRAMES[name], 34, Context())
    assert answer["kind"] == "frame of a signed day"
    assert {key: answer[key] for key in told} == told


@pytest.mark.parametrize("name", ["request", "key"])
def test_the_transport_key_proves_it(name: str) -> None:
    assert explain(FRAMES[name], 34, Context(key=KEY, dev_eui=DEV_EUI))["authentic"] is True
    with pytest.raises(AuthenticationError):
        explain(FRAMES[name], 34, Context(key=Key16(bytes(16)), dev_eui=DEV_EUI))
    with pytest.raises(ValueOutOfRange, match="DevEUI"):
        explain(FRAMES[name], 34, Context(key=KEY))


def test_a_frame_that_is_cut_off_is_still_named() -> None:
    assert explain(FRAMES["r"][:9], 34, Context())["content"] == "key exchange or signed day"
