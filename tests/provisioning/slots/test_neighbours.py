"""Who hears an adapter that another one serves: believed for two weeks, in conflict only where slots really meet."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from provisioning.fleet.models import Adapter, Concentrator
from provisioning.fleet.services import create_adapters, move_adapter
from provisioning.fleet.services.adapters import NewAdapter
from provisioning.slots.models import Assignment, Neighbour, Occupancy
from provisioning.slots.queries import conflicts, how_many_fit
from provisioning.slots.services import assign, assign_many, heard_by, memory, release, set_plan, site
from provisioning.slots.services.neighbours import KEPT
from tests.cast import JOIN_EUI, STAGE, Cast
from tests.provisioning.slots.test_assigning import NOW, assert_nobody_meets

WEEKS_AGO = NOW - timedelta(days=20)


@pytest.fixture
def cellar(cast: Cast) -> Concentrator:
    return cast.concentrator()


@pytest.fixture
def beside(cast: Cast, cellar: Concentrator) -> Concentrator:
    return cast.concentrator(cellar.site)


@pytest.fixture
def adapter(cast: Cast, cellar: Concentrator) -> Adapter:
    """With a slot at the cellar."""
    made = cast.adapter(cellar.site, cellar)
    assign(STAGE, made, period_s=900, data_rate=5)
    return made


def slot(adapter: Adapter) -> Assignment:
    return assign(STAGE, adapter, period_s=900, data_rate=5)


def fill(cast: Cast, concentrator: Concentrator) -> list[Adapter]:
    """Forty adapters, for which there is just room."""
    set_plan(STAGE, concentrator, quantum_ms=10, guard_ms=2000, reserve=500, previous=False)
    new = [NewAdapter(f"70b3d57e{concentrator.pk:06x}{number:02x}", JOIN_EUI) for number in range(40)]
    made = create_adapters(STAGE, cast.organisation, new, site=concentrator.site, concentrator=concentrator)
    assign_many(STAGE, cast.organisation, made, period_s=60, size=16, data_rate=lambda _: 0)
    assert not Assignment.objects.filter(overlap_ms__gt=0).exists()
    return made


def test_news_that_waited_for_weeks_takes_no_time(adapter: Adapter, beside: Concentrator) -> None:
    assert not heard_by(STAGE, adapter, beside, WEEKS_AGO, -110.0)
    assert not Occupancy.objects.filter(concentrator=beside).exists()
    heard_by(STAGE, adapter, beside, NOW, -110.0)
    assert Occupancy.objects.filter(concentrator=beside).exists()


@pytest.mark.parametrize("late", [WEEKS_AGO, NOW - timedelta(days=1)])
def test_older_news_does_not_end_what_newer_tells(adapter: Adapter, beside: Concentrator, late: datetime) -> None:
    heard_by(STAGE, adapter, beside, NOW, -110.0)
    heard_by(STAGE, adapter, beside, late, -120.0)
    known = Neighbour.objects.get()
    assert (known.heard_at, known.expires_at, known.rssi) == (NOW, NOW + KEPT, -110.0)


def test_a_neighbour_whose_clock_is_ahead_was_heard_now(adapter: Adapter, beside: Concentrator) -> None:
    heard_by(STAGE, adapter, beside, NOW + timedelta(days=400), -110.0)
    assert NOW <= Neighbour.objects.get().heard_at <= timezone.now()


def test_who_moves_to_the_neighbour_that_hears_it_is_in_no_conflict_there(
    cast: Cast, adapter: Adapter, cellar: Concentrator, beside: Concentrator
) -> None:
    slot(cast.adapter(cellar.site, beside))
    assert heard_by(STAGE, adapter, beside, NOW, -110.0)
    move_adapter(STAGE, adapter, site=cellar.site, concentrator=beside)
    slot(adapter)
    assert not conflicts(beside).exists()
    assert not Neighbour.objects.exists()


def test_who_lies_over_others_is_in_conflict_only_where_it_meets_them(
    cast: Cast, cellar: Concentrator, beside: Concentrator
) -> None:
    fill(cast, cellar)
    late = cast.adapter(cellar.site, cellar)
    assert assign(STAGE, late, period_s=60, data_rate=0).overlap_ms > 0
    assert not heard_by(STAGE, late, beside, NOW, -110.0)
    assert not conflicts(beside).exists()


@pytest.mark.parametrize("at_once", [False, True])
def test_who_is_laid_over_the_slots_of_a_neighbour_is_told_there(
    cast: Cast, cellar: Concentrator, beside: Concentrator, at_once: bool
) -> None:
    theirs = [*fill(cast, cellar), *fill(cast, beside)]
    late = cast.adapter(cellar.site, cellar)
    heard_by(STAGE, late, beside, NOW, -110.0)
    assert not conflicts(beside).exists()
    if at_once:
        assign_many(STAGE, cast.organisation, [late], period_s=60, size=16, data_rate=lambda _: 0)
    else:
        assign(STAGE, late, period_s=60, data_rate=0)
    assert [one.adapter for one in conflicts(beside)] == [late]
    for one in theirs:
        release(STAGE, one)
    assert not conflicts(beside).exists()


def test_time_kept_for_a_neighbour_that_is_no_longer_believed_is_free_for_the_next(
    cast: Cast, adapter: Adapter, cellar: Concentrator, beside: Concentrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = how_many_fit(beside)
    heard_by(STAGE, adapter, beside, NOW, -110.0)
    other_process = memory.Memory()
    monkeypatch.setattr(site, "memory", other_process)
    kept = cast.adapter(cellar.site, beside)
    assert slot(kept).place != slot(adapter).place
    release(STAGE, kept)
    assert how_many_fit(beside)[5] == fits[5] - 1
    Neighbour.objects.update(expires_at=NOW - timedelta(seconds=1))
    assert how_many_fit(beside) == fits
    monkeypatch.setattr(site, "memory", memory.memory)
    assert slot(cast.adapter(cellar.site, beside)).place == slot(adapter).place
    assert not Occupancy.objects.filter(served=False).exists()
    assert not Neighbour.objects.exists()
    monkeypatch.setattr(site, "memory", other_process)
    slot(cast.adapter(cellar.site, beside))
    assert_nobody_meets()


@pytest.mark.parametrize("period_s", [3600, 86_400])
def test_turns_beside_one_that_is_only_heard_are_not_promised(
    cast: Cast, cellar: Concentrator, beside: Concentrator, period_s: int
) -> None:
    """The allocator protects its place in every frame."""
    far, frames = cast.adapter(cellar.site, cellar), period_s // 900
    before = how_many_fit(beside, period_s=period_s)[5]
    assign(STAGE, far, period_s=period_s, data_rate=5)
    heard_by(STAGE, far, beside, NOW, -110.0)
    assert how_many_fit(beside, period_s=period_s)[5] == before - frames
    near = assign(STAGE, cast.adapter(cellar.site, beside), period_s=period_s, data_rate=5)
    assert near.phase_ms % 900_000 != Assignment.objects.get(adapter=far).phase_ms % 900_000
    assert how_many_fit(beside, period_s=period_s)[5] == before - frames - 1


def test_a_delivery_finds_the_time_free_that_was_kept_for_such_a_neighbour(
    cast: Cast, adapter: Adapter, cellar: Concentrator, beside: Concentrator
) -> None:
    heard_by(STAGE, adapter, beside, NOW, -110.0)
    Neighbour.objects.update(expires_at=NOW - timedelta(seconds=1))
    new = cast.adapter(cellar.site, beside)
    assign_many(STAGE, cast.organisation, [new], period_s=900, size=16, data_rate=lambda _: 5)
    assert Assignment.objects.get(adapter=new).place == slot(adapter).place
    assert not Occupancy.objects.filter(served=False).exists()
