"""Many writers at once on real connections: the chain never forks, and nobody blocks anybody for good."""

import threading
from collections.abc import Callable

import pytest
from django.db import connection, connections, transaction

from provisioning.audit.queries import verify
from provisioning.audit.services import record
from provisioning.errors import Conflict
from provisioning.fleet.desired import devices_changed
from provisioning.fleet.models import Concentrator, DeviceChange
from provisioning.fleet.services import create_adapter, create_site, move_adapter
from provisioning.keys.services import issue_adapter_keys
from provisioning.pairing.services import pair
from tests.cast import STAGE, Cast

THREADS = 6
pytestmark = [pytest.mark.postgres, pytest.mark.skipif("connection.vendor != 'postgresql'", reason="needs PostgreSQL")]


def test_concurrent_writers_make_one_chain(transactional_cast: Cast) -> None:
    organisation = transactional_cast.organisation

    def write(number: int) -> None:
        for turn in range(10):
            with transaction.atomic():
                record(organisation, STAGE, "test.done", None, {"writer": number, "turn": turn})

    assert not _at_once(write)
    verdict = verify(organisation)
    assert (verdict.broken, verdict.entries) == (None, 7 + THREADS * 10)


def test_the_first_entries_of_a_chain_can_come_at_once(transactional_cast: Cast) -> None:
    from provisioning.accounts.models import Organisation

    fresh = Organisation.objects.create(name="Fresh", slug="fresh")

    def write(number: int) -> None:
        with transaction.atomic():
            record(fresh, STAGE, "test.done", None, {"writer": number})

    assert not _at_once(write)
    assert verify(fresh).entries == THREADS


def test_different_services_at_once_do_not_block_each_other_for_good(transactional_cast: Cast) -> None:
    cast = transactional_cast
    site = cast.site()
    first, second = cast.concentrator(site), cast.concentrator(site)
    adapters = [cast.adapter(site, first) for _ in range(THREADS)]

    def work(number: int) -> None:
        adapter = adapters[number]
        issue_adapter_keys(STAGE, adapter)
        move_adapter(STAGE, adapter, site=site, concentrator=second if number % 2 else first)
        create_adapter(
            STAGE, cast.organisation, dev_eui=f"70b3d57ed2{number:06x}", join_eui="0" * 16, concentrator=first
        )
        create_site(STAGE, cast.organisation, name=f"Site of {number}")

    assert not _at_once(work)
    assert verify(cast.organisation).broken is None


def test_each_revision_of_a_device_table_is_given_once(transactional_cast: Cast) -> None:
    concentrator = transactional_cast.concentrator()

    def change(number: int) -> None:
        for turn in range(10):
            with transaction.atomic():
                devices_changed(concentrator.pk, [f"70b3d57ed3{number:02x}{turn:04x}"])

    assert not _at_once(change)
    revisions = list(DeviceChange.objects.filter(concentrator=concentrator).values_list("revision", flat=True))
    assert sorted(revisions) == list(range(2, 2 + THREADS * 10))
    assert Concentrator.objects.get(pk=concentrator.pk).desired_revision == 1 + THREADS * 10


def test_of_two_installers_who_pair_the_same_adapter_one_wins(transactional_cast: Cast) -> None:
    cast = transactional_cast
    adapter = cast.adapter()
    points = [cast.metering_point(adapter.site) for _ in range(THREADS)]
    failures = _at_once(lambda number: pair(cast.installer, adapter, points[number]))
    assert len(failures) == THREADS - 1
    assert all(isinstance(failure, Conflict) for failure in failures)


def _at_once(work: Callable[[int], object]) -> list[BaseException]:
    """Run `work` in THREADS threads that begin together; the failures."""
    failures: list[BaseException] = []
    start = threading.Barrier(THREADS)

    def run(number: int) -> None:
        try:
            start.wait(10)
            work(number)
        except BaseException as failure:
            failures.append(failure)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert connection.vendor == "postgresql"
    return failures
