"""What was archived comes back within its time, and a conflict is told where it was asked."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from provisioning.accounts.models import User
from provisioning.audit.models import Entry
from provisioning.fleet import services as fleet
from provisioning.fleet.models import Adapter
from tests.cast import STAGE
from tests.portal_web.world import World

Browse = Callable[[User | None], Client]


def restore(client: Client, kind: str, pk: int) -> str:
    answer = client.post(reverse("archive-restore", args=[kind, pk]), follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def test_each_kind_is_listed_and_comes_back(world: World, browse: Browse) -> None:
    client = browse(world.cast.operator)
    site = world.cast.site("Uferweg 3")
    point, concentrator = world.cast.metering_point(site), world.cast.concentrator(site)
    fleet.archive_metering_point(STAGE, point)
    fleet.archive_concentrator(STAGE, concentrator)
    fleet.archive_site(STAGE, site)
    assert "Uferweg 3" in client.get(reverse("archive"), {"kind": "sites"}).content.decode()
    for kind, row in (("sites", site), ("metering-points", point), ("concentrators", concentrator)):
        lines = client.get(reverse("archive"), {"kind": kind}).context["lines"]
        assert [line.pk for line in lines] == [row.pk]
        restore(client, kind, row.pk)
        row.refresh_from_db()
        assert row.archived_at is None
    assert Entry.objects.filter(action="site.restored", actor=world.cast.operator).exists()


def test_an_archived_adapter_says_until_when_it_can_come_back(world: World, browse: Browse) -> None:
    client = browse(world.cast.operator)
    page = client.get(reverse("adapter", args=[world.archived.pk])).content.decode()
    assert "It can be restored until" in page
    restore(client, "adapters", world.archived.pk)
    assert "It can be restored until" not in client.get(reverse("adapter", args=[world.archived.pk])).content.decode()


def test_after_thirty_days_it_is_over(world: World, browse: Browse) -> None:
    client = browse(world.cast.operator)
    Adapter.objects.filter(pk=world.archived.pk).update(archived_at=world.now - timedelta(days=31))
    assert not client.get(reverse("archive")).context["lines"][0].restorable
    assert "register it anew" in restore(client, "adapters", world.archived.pk)


def test_a_place_that_is_taken_is_a_conflict_in_words(world: World, browse: Browse) -> None:
    client = browse(world.cast.operator)
    world.cast.adapter(world.site, dev_eui=world.archived.dev_eui)
    assert "in use again" in restore(client, "adapters", world.archived.pk)
    world.archived.refresh_from_db()
    assert world.archived.archived_at is not None


@pytest.mark.parametrize("kind", ["nothing", "users"])
def test_other_kinds_do_not_exist(kind: str, world: World, browse: Browse) -> None:
    client = browse(world.cast.operator)
    assert client.post(reverse("archive-restore", args=[kind, world.archived.pk])).status_code == 404
    assert client.get(reverse("archive"), {"kind": kind}).context["chosen"] == "adapters"


def test_a_viewer_looks_and_does_not_restore(world: World, browse: Browse) -> None:
    client = browse(world.cast.viewer)
    url = reverse("archive-restore", args=["adapters", world.archived.pk])
    assert url not in client.get(reverse("archive")).content.decode()
    assert client.post(url).status_code == 403
