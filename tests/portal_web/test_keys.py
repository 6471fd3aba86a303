"""The inventory of keys and the page of one: what is listed, what it leads to, and that no value is ever there."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from portal.web import certificates_due, keys_counts, pairings_counts
from portal.web.recency import recency
from portal.web.snapshot import snapshots
from provisioning.accounts.models import User
from provisioning.audit.models import Entry
from provisioning.fleet.models import Adapter, Concentrator
from provisioning.keys.models import DeviceKey, KeyState, Purpose
from provisioning.keys.services import issue_key
from provisioning.keys.vault import Vault
from tests.cast import STAGE
from tests.portal_web.world import World, body

Browse = Callable[[User | None], Client]


@pytest.fixture
def custodian(world: World, browse: Browse) -> Client:
    return browse(world.cast.custodian)


def text(answer: Any) -> str:
    return body(answer).decode()


def listed(client: Client, **query: str) -> list[DeviceKey]:
    return list(client.get(reverse("keys"), query).context["page"].rows)


def step(client: Client, key: DeviceKey, name: str, **data: str) -> Any:
    return client.post(reverse(f"key-{name}", args=[key.pk]), data, follow=True)


def state(key: DeviceKey) -> str:
    return DeviceKey.objects.get(pk=key.pk).state


def test_the_inventory_says_which_key_for_what_where_and_how_it_is(world: World, custodian: Client) -> None:
    page = text(custodian.get(reverse("keys")))
    assert "Inner key 1" in page
    assert "LoRaWAN root key 1" in page
    assert world.adapter.dev_eui.upper() in page
    assert world.key.check_value.upper() in page
    assert world.site.name in page


def test_the_adapters_page_tells_its_keys_apart_by_the_same_names(world: World, custodian: Client) -> None:
    for purpose in (Purpose.CONTROL_UP, Purpose.CONTROL_DOWN):
        DeviceKey.objects.filter(pk=issue_key(STAGE, world.adapter, purpose).pk).update(state=KeyState.ACTIVE)
    page = text(custodian.get(reverse("adapter", args=[world.adapter.pk])))
    for name in ("Inner key", "Control key, up", "Control key, down"):
        assert f">{name}</a>" in page


def test_no_value_is_on_any_page_nor_in_the_export(world: World, custodian: Client) -> None:
    values = [Vault.from_settings().open(key).reveal().hex() for key in DeviceKey.objects.all()]
    pages = [reverse("keys"), reverse("key-export"), reverse("key", args=[world.key.pk]), reverse("campaigns")]
    for url in pages:
        page = text(custodian.get(url)).lower().replace(" ", "")
        assert not [value for value in values if value in page], url


def test_it_is_narrowed_by_purpose_state_site_and_text(world: World, custodian: Client) -> None:
    other, _ = world.paired_adapter(world.cast.site("Elsewhere 1"))
    assert {key.purpose for key in listed(custodian, purpose="inner")} == {"inner"}
    assert listed(custodian, state="revoked") == []
    assert {key.adapter_id for key in listed(custodian, site=str(world.site.pk))} == {world.adapter.pk}
    assert {key.adapter_id for key in listed(custodian, q=other.dev_eui)} == {other.pk}
    assert "No key fits these choices" in text(custodian.get(reverse("keys"), {"q": "no such thing"}))


def test_what_is_no_choice_is_left_out(world: World, custodian: Client) -> None:
    everything = len(listed(custodian))
    for query in ({"purpose": "'"}, {"state": "x"}, {"site": "9" * 40}, {"site": "-1"}, {"after": "%00"}):
        assert len(listed(custodian, **query)) == everything, query


def test_what_ends_soon_stands_first(world: World, custodian: Client) -> None:
    for number, days in enumerate((20, 10, 200)):
        adapter, _ = world.paired_adapter()
        end = world.now + timedelta(days=days)
        DeviceKey.objects.filter(pk=world.cast.inner_key(adapter).pk).update(not_after=end, version=10 + number)
    assert [key.version for key in listed(custodian, only="due")] == [11, 10]
    figures = custodian.get(reverse("keys")).context["counts"]
    assert figures.expiring == 2
    assert figures.ends == 3
    assert sum(month.count for month in figures.months) == 3


def test_the_figures_tell_what_failed_and_why(world: World, custodian: Client) -> None:
    assert world.campaign.deliveries.filter(state="failed").count() == 1
    page = text(custodian.get(reverse("keys")))
    assert "share no key-transport key" in page
    failed = text(custodian.get(reverse("key-failures")))
    assert "no_transport_key" in failed
    assert world.adapter.dev_eui.upper() in failed


def test_a_member_of_one_site_counts_its_keys_only(world: World, browse: Browse) -> None:
    elsewhere = world.cast.site("Elsewhere 1")
    world.paired_adapter(elsewhere)
    member = world.cast.home.member("operator")
    member.all_sites = False
    member.save()
    member.site_access.create(site=elsewhere)
    counted = browse(world.cast.operator).get(reverse("keys")).context["counts"].total
    assert counted == DeviceKey.objects.filter(adapter__site=elsewhere).count()


def test_the_export_holds_what_the_filters_leave(world: World, custodian: Client) -> None:
    answer = custodian.get(reverse("key-export"), {"purpose": "inner"})
    lines = text(answer).lstrip("\ufeff").splitlines()
    assert answer["Cache-Control"] == "private, no-store"
    assert lines[0].startswith("dev_eui,serial,site,purpose")
    assert len(lines) == 2
    assert world.key.check_value.upper() in lines[1]
    none = text(custodian.get(reverse("key-export"), {"state": "destroyed"}))
    assert none.lstrip("\ufeff").splitlines() == lines[:1]


def test_the_export_is_noted_in_the_audit_with_its_filters(world: World, custodian: Client) -> None:
    custodian.head(reverse("key-export"))
    assert not Entry.objects.filter(action="keys.exported").exists()
    custodian.get(reverse("key-export"), {"purpose": "inner", "only": "due"})
    noted = Entry.objects.get(action="keys.exported")
    assert (noted.actor, noted.data) == (world.cast.custodian, {"filters": {"purpose": "inner", "due": True}})


def test_a_long_inventory_takes_no_more_queries_than_a_short_one(world: World, custodian: Client) -> None:
    def count() -> int:
        for shelf in (keys_counts.shelf, snapshots, pairings_counts.shelf, certificates_due.shelf, recency):
            shelf.forget()
        with CaptureQueriesContext(connection) as queries:
            assert custodian.get(reverse("keys")).status_code == 200
        return len(queries)

    count()
    before = count()
    for _ in range(4):
        world.paired_adapter()
    assert count() == before <= 26


def test_the_page_of_a_key_tells_its_life_and_who_did_what(world: World, custodian: Client) -> None:
    page = text(custodian.get(reverse("key", args=[world.key.pk])))
    assert "Active" in page
    assert "test stage" in page, "who did it"
    assert "Revoke it" in page


def test_who_only_looks_is_offered_nothing(world: World, browse: Browse) -> None:
    page = text(browse(world.cast.auditor).get(reverse("key", args=[world.key.pk])))
    assert "Revoke it" not in page
    assert "Wrap for a recipient" not in page


def test_a_key_goes_from_active_to_destroyed_by_way_of_revoked(world: World, custodian: Client) -> None:
    key = world.key
    value = key.check_value.upper()
    assert "retires" in text(step(custodian, key, "retire", reason="Planned"))
    assert "Nothing under it is accepted" in text(step(custodian, key, "revoke", reason="Lost", confirm=value))
    assert "is destroyed" in text(step(custodian, key, "destroy", reason="Lost", confirm=value))
    row = DeviceKey.objects.get(pk=key.pk)
    assert row.state == KeyState.DESTROYED
    assert bytes(row.sealed) == b""
    assert "not here" in text(custodian.get(reverse("key", args=[key.pk])))


def test_nothing_is_revoked_without_reason_or_for_another_check_value(world: World, custodian: Client) -> None:
    key = world.key
    assert "This field is required" in text(step(custodian, key, "revoke", confirm=key.check_value))
    assert "not the check value" in text(step(custodian, key, "revoke", reason="Lost", confirm="000000x"))
    assert state(key) == KeyState.ACTIVE


def test_a_step_that_does_not_lead_on_is_refused(world: World, custodian: Client) -> None:
    assert "does not lead on" in text(step(custodian, world.key, "destroy", reason="x", confirm=world.key.check_value))
    assert state(world.key) == KeyState.ACTIVE


def test_a_new_lmn_key_is_not_made_active_by_hand(world: World, custodian: Client) -> None:
    key = issue_key(STAGE, world.adapter, Purpose.LMN)
    assert "Make it active" not in text(custodian.get(reverse("key", args=[key.pk])))
    step(custodian, key, "activate", reason="Because")
    assert state(key) == KeyState.GENERATED


def test_a_passkey_that_was_shown_long_ago_is_asked_for_again(world: World, custodian: Client) -> None:
    session = custodian.session
    for name in list(session.keys()):
        if isinstance(session[name], dict):
            session[name] = {kind: at - 600 if isinstance(at, float) else at for kind, at in session[name].items()}
    session.save()
    answer = custodian.post(reverse("key-retire", args=[world.key.pk]), {"reason": "Planned"})
    assert answer.status_code == 302
    assert reverse("factor-verify") in answer["Location"]
    assert state(world.key) == KeyState.ACTIVE


def test_an_adapter_is_revoked_and_reinstated(world: World, custodian: Client) -> None:
    key, url = world.key, reverse("adapter-revoke", args=[world.adapter.pk])
    assert "is void" in text(custodian.get(url)) or "are void" in text(custodian.get(url))
    wrong = custodian.post(url, {"reason": "Stolen", "confirm": "zzzz"})
    assert "do not agree" in text(wrong)
    assert Adapter.objects.get(pk=world.adapter.pk).revoked_at is None
    done = custodian.post(url, {"reason": "Stolen", "confirm": world.adapter.dev_eui[-4:].upper()}, follow=True)
    assert "Nothing of it is believed" in text(done)
    assert state(key) == KeyState.REVOKED
    back = reverse("adapter-reinstate", args=[world.adapter.pk])
    assert custodian.get(url)["Location"] == back
    custodian.post(back, {"reason": "Found"})
    assert Adapter.objects.get(pk=world.adapter.pk).revoked_at is None


def test_a_concentrator_is_revoked_for_good(world: World, browse: Browse) -> None:
    client = browse(world.cast.operator)
    url = reverse("concentrator-revoke", args=[world.concentrator.pk])
    assert "1 adapter that it serves" in text(client.get(url))
    client.post(url, {"reason": "", "confirm": world.concentrator.eui[-4:]})
    assert Concentrator.objects.get(pk=world.concentrator.pk).revoked_at is None
    done = client.post(url, {"reason": "Stolen", "confirm": world.concentrator.eui[-4:]}, follow=True)
    assert "The concentrator is revoked" in text(done)
    again = client.post(url, {"reason": "Stolen", "confirm": world.concentrator.eui[-4:]}, follow=True)
    assert "was revoked" in text(again)
