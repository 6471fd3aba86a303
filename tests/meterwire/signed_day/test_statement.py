"""What is signed names adapter, day, counters and every telegram, and a signature fits only that."""

from dataclasses import replace
from datetime import date

import pytest

from meterwire.curves import Curve, PrivateKey
from meterwire.errors import AuthenticationError, ValueOutOfRange
from meterwire.ids import DevEUI
from meterwire.signed_day import Statement, begin_of, date_of, day_number, leaf, number_of
from tests.meterwire.vectors import load

DEV_EUI = DevEUI.parse("70b3d57ed0061234")
VECTOR = load("signed_day")
LEAVES = [(counter, leaf(DEV_EUI, counter, 16, bytes.fromhex(octets))) for counter, octets in VECTOR["telegrams"]]
STATEMENT = Statement.of(DEV_EUI, VECTOR["day"], LEAVES)


def test_the_statement_is_the_one_in_the_vectors() -> None:
    assert STATEMENT.message.hex() == VECTOR["message"]
    assert [digest.hex() for _, digest in LEAVES] == VECTOR["leaves"]


@pytest.mark.parametrize("curve", [Curve.P256, Curve.BRAINPOOL])
def test_a_signature_fits_its_statement_and_no_other(curve: Curve) -> None:
    key = PrivateKey.generate(curve, bytes(range(48)))
    signature = key.sign(STATEMENT.message)
    key.public.verify(signature, STATEMENT.message)
    others = [
        replace(STATEMENT, day=STATEMENT.day + 1),
        replace(STATEMENT, dev_eui=DevEUI.parse("70b3d57ed0061235")),
        replace(STATEMENT, leaves=STATEMENT.leaves - 1),
        replace(STATEMENT, first=STATEMENT.first - 1),
        replace(STATEMENT, last=STATEMENT.last + 1),
        replace(STATEMENT, root=bytes(32)),
    ]
    for other in others:
        with pytest.raises(AuthenticationError):
            key.public.verify(signature, other.message)


@pytest.mark.parametrize("leaves", [[], LEAVES[::-1], [LEAVES[0], LEAVES[0]]])
def test_a_day_without_telegrams_or_out_of_order_is_none(leaves: list[tuple[int, bytes]]) -> None:
    with pytest.raises(ValueOutOfRange):
        Statement.of(DEV_EUI, 1, leaves)


def test_days_are_those_of_utc() -> None:
    assert day_number(86_399.9) == 0
    assert day_number(86_400) == 1
    assert date_of(day_number(1_767_225_600)) == date(2026, 1, 1)
    assert number_of(date(2026, 1, 1)) == 20_454
    assert begin_of(20_454).isoformat() == "2026-01-01T00:00:00+00:00"


def test_a_day_that_no_frame_can_name_is_refused() -> None:
    for moment in (-1.0, 65_536 * 86_400.0):
        with pytest.raises(ValueOutOfRange):
            day_number(moment)
