"""The database's last word, rectangle by rectangle: what meets is refused, what does not is let in."""

import pytest
from django.db import IntegrityError, transaction

from meterwire.slots import Slot
from provisioning.slots import lattice
from provisioning.slots.models import Assignment, Occupancy
from tests.cast import Cast

Given = tuple[int, int, int]  # phase (ms), period (s), length (ms)
AT_SIX: Given = (6 * 3_600_000, 86_400, 100)

MEET: list[tuple[Given, Given]] = [
    ((0, 900, 100), (0, 900, 100)),
    ((0, 900, 100), (99, 900, 100)),
    ((99, 900, 100), (0, 900, 100)),
    ((0, 60, 100), (840_000, 900, 50)),  # the last minute of the frame is one of every minute's
    ((60_000, 300, 100), (360_050, 900, 10)),
    (AT_SIX, (0, 3600, 10)),
    (AT_SIX, (0, 60, 1)),
    (AT_SIX, (50, 900, 8000)),
    ((23 * 3_600_000 + 59 * 60_000, 86_400, 8000), (7_999, 60, 1)),
]
DO_NOT_MEET: list[tuple[Given, Given]] = [
    ((0, 900, 100), (100, 900, 100)),
    ((100, 900, 100), (0, 900, 100)),
    ((0, 900, 100), (60_000, 900, 100)),
    ((0, 300, 100), (60_000, 300, 100)),
    (AT_SIX, (7 * 3_600_000, 86_400, 100)),
    (AT_SIX, (900_000, 3600, 100)),
    ((0, 3600, 8000), (900_000, 3600, 8000)),
]


def lay(
    cast: Cast, given: Given, concentrator: int, *, channel: int = 0, served: bool = True, shared: bool = False
) -> Occupancy:
    phase_ms, period_s, length_ms = given
    row = Assignment.objects.create(adapter=cast.adapter(), organisation=cast.organisation)
    line = lattice.line(concentrator, channel)
    place = lattice.rectangle(line, phase_ms, period_s, length_ms)
    return Occupancy.objects.create(
        assignment=row, concentrator_id=concentrator, served=served, shared=shared, **place._asdict()
    )


@pytest.fixture
def cellar(cast: Cast) -> int:
    return cast.concentrator().pk


@pytest.mark.parametrize(("one", "other"), MEET + [(b, a) for a, b in MEET])
def test_two_that_are_ever_on_the_air_together_are_refused(cast: Cast, cellar: int, one: Given, other: Given) -> None:
    lay(cast, one, cellar)
    with pytest.raises(IntegrityError), transaction.atomic():
        lay(cast, other, cellar)
    lay(cast, other, cellar, shared=True)
    lay(cast, other, cellar, channel=1)
    lay(cast, other, cast.concentrator().pk)


@pytest.mark.parametrize(("one", "other"), DO_NOT_MEET)
def test_two_that_never_meet_are_let_in(cast: Cast, cellar: int, one: Given, other: Given) -> None:
    lay(cast, one, cellar)
    lay(cast, other, cellar)
    assert Occupancy.objects.count() == 2


def test_two_that_are_only_heard_may_meet_but_not_one_that_is_served(cast: Cast, cellar: int) -> None:
    lay(cast, AT_SIX, cellar, served=False)
    lay(cast, AT_SIX, cellar, served=False)
    with pytest.raises(IntegrityError), transaction.atomic():
        lay(cast, (0, 60, 1), cellar)


def test_neither_moving_into_another_one_nor_ceasing_to_share_is_let_pass(cast: Cast, cellar: int) -> None:
    lay(cast, (0, 900, 100), cellar)
    beside, over = lay(cast, (100, 900, 100), cellar), lay(cast, (50, 900, 100), cellar, shared=True)
    with pytest.raises(IntegrityError), transaction.atomic():
        Occupancy.objects.filter(pk=beside.pk).update(begin=99)
    with pytest.raises(IntegrityError), transaction.atomic():
        Occupancy.objects.filter(pk=over.pk).update(shared=False)
    Occupancy.objects.filter(pk=beside.pk).update(begin=101)


@pytest.mark.parametrize(("one", "other"), MEET + DO_NOT_MEET)
def test_rectangles_say_what_the_arithmetic_of_slots_says(one: Given, other: Given) -> None:
    first, second = (Slot(0, phase_ms, period_s, 0, 0, length_ms, 1) for phase_ms, period_s, length_ms in (one, other))
    assert first.overlaps(second) is lattice.rectangle(0, *one).meets(lattice.rectangle(0, *other))
    assert first.overlaps(second) is ((one, other) in MEET)
