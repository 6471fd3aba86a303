"""The list of adapters, its search, and the page of one."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from provisioning.accounts.models import User
from provisioning.fleet.models import Adapter, MeteringPoint, Site
from provisioning.fleet.services import archive_adapter
from provisioning.keys.models import DeviceKey
from provisioning.pairing.models import Pairing
from provisioning.pairing.services import unpair
from tests.cast import STAGE
from tests.portal_web.world import PERIOD, World

Browse = Callable[[User | None], Client]


def text(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def shown(client: Client, query: str) -> list[str]:
    """The DevEUIs of the rows, in order."""
    rows = client.get(f"/adapters/?{query}").context["lines"]
    return [line.adapter.dev_eui for line in rows]


def page_of(world: World, client: Client, adapter: Adapter | None = None) -> str:
    return text(client, reverse("adapter", args=[(adapter or world.adapter).pk]))


def test_the_filters_part_the_fleet_by_state(world: World, browse: Browse) -> None:
    client = browse(world.cast.viewer)
    silent, never, gone = (world.paired_adapter()[0] for _ in range(3))
    world.heard()
    world.silent(silent)
    for pairing in gone.pairings.all():
        unpair(STAGE, pairing, reason="test")
    archive_adapter(STAGE, gone)
    assert shown(client, "state=heard") == [world.adapter.dev_eui]
    assert shown(client, "state=silent") == [silent.dev_eui]
    assert shown(client, "state=never") == [never.dev_eui]
    assert shown(client, "state=archived") == [gone.dev_eui]
    assert len(shown(client, "")) == 3


def test_the_list_sorts_by_number_and_by_last_reading(world: World, browse: Browse) -> None:
    client = browse(world.cast.viewer)
    second, third = world.paired_adapter()[0], world.paired_adapter()[0]
    world.heard(ago=timedelta(minutes=5))
    world.heard(second, timedelta(minutes=1))
    world.heard(third, timedelta(minutes=9))
    first = world.adapter.dev_eui
    assert shown(client, "sort=eui") == sorted([first, second.dev_eui, third.dev_eui])
    assert shown(client, "sort=last") == [second.dev_eui, first, third.dev_eui]
    assert shown(client, "sort=oldest") == [third.dev_eui, first, second.dev_eui]
    site = world.site.pk
    assert shown(client, f"sort=oldest&site={site}") == [third.dev_eui, first, second.dev_eui]


def test_no_choice_of_state_and_order_fails(world: World, browse: Browse) -> None:
    world.heard()
    client = browse(world.cast.viewer)
    for state in ("", "heard", "silent", "never", "archived", "nonsense"):
        for sort in ("eui", "last", "oldest", "nonsense"):
            assert client.get(f"/adapters/?state={state}&sort={sort}&page=2").status_code == 200


def test_the_search_finds_an_adapter_by_all_its_names(world: World, browse: Browse) -> None:
    world.paired_adapter(world.cast.site("Somewhere 1"))
    meter = world.pairing.meter
    assert meter is not None
    Site.objects.filter(pk=world.site.pk).update(street="Musterplatz 4", postcode="66280")
    Adapter.objects.filter(pk=world.adapter.pk).update(serial="MS24-7", location="Kitchen, under the sink")
    MeteringPoint.objects.filter(pk=world.pairing.metering_point_id).update(name="North wing 3")
    number, eui = meter.meter_id, world.adapter.dev_eui
    client = browse(world.cast.viewer)
    for query in (
        number, number.lower(), f"{number[0]} {number[1:4]} {number[4:6]} {number[6:10]} {number[10:]}", number[-8:],
        eui, eui.upper(), "-".join(eui[i : i + 2] for i in range(0, 16, 2)), eui[-6:],
        "MS24-7", "ms24-7", "Kastanienhof", "kastanienhof 7", "Musterplatz 4", "66280",
        "north wing", "North wing", "kitchen",
    ):  # fmt: skip
        found = client.get("/adapters/", {"q": query}).context["lines"]
        assert [line.adapter.dev_eui for line in found] == [eui], query


def test_a_search_without_a_result_says_what_can_be_searched_for(world: World, browse: Browse) -> None:
    client = browse(world.cast.viewer)
    for query in ("%", "_", "'", "\\", "x" * 500, "0x", "ü", "a%00", "..", "1EMH 00 9999 9999"):
        answer = client.get("/adapters/", {"q": query})
        assert answer.status_code == 200, query
        assert "Nothing was found for" in answer.content.decode(), query


def test_the_page_shows_the_last_value_of_each_register_in_a_readable_unit(world: World, browse: Browse) -> None:
    world.readings([12_345_000, 12_345_678])
    world.readings([-1500], 7)
    world.readings([2301], 11)
    page = page_of(world, browse(world.cast.viewer))
    assert '12,345.678 <span class="unit">kWh</span>' in page
    assert '−1,500 <span class="unit">W</span>' in page
    assert '230.1 <span class="unit">V</span>' in page


def test_the_stations_tell_how_far_an_adapter_has_come(world: World, browse: Browse) -> None:
    client = browse(world.cast.viewer)
    stations = client.get(reverse("adapter", args=[world.adapter.pk])).context["life"]
    assert [s.form for s in stations] == ["done", "done", "now", "done", "todo", "todo"]
    world.event("joined")
    world.readings([1000])
    world.heard()
    stations = client.get(reverse("adapter", args=[world.adapter.pk])).context["life"]
    assert [s.form for s in stations] == ["done"] * 5 + ["now"]
    assert stations[-1].text == "every 15 min"
    world.silent()
    assert client.get(reverse("adapter", args=[world.adapter.pk])).context["life"][-1].form == "fail"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, "on time"),
        ({"ago": 2 * PERIOD}, "late"),
        ({"ago": 9 * PERIOD, "state": "silent"}, "silent"),
        ({"last_error": "tag_mismatch", "last_error_at": "now"}, "refused"),
    ],
)
def test_the_state_is_said_in_one_word(changes: dict[str, object], word: str, world: World, browse: Browse) -> None:
    if changes.get("last_error_at"):
        changes = {**changes, "last_error_at": world.now + timedelta(seconds=1)}
    world.heard(**changes)  # type: ignore[arg-type]
    page = page_of(world, browse(world.cast.operator))
    assert f">{word}</span>" in page


def test_refused_frames_come_with_cause_and_cure_once_per_cause(world: World, browse: Browse) -> None:
    for counter in range(5):
        world.telegram(counter, error="tag_mismatch")
    world.event("join_refused", "nonce_used")
    page = page_of(world, browse(world.cast.operator))
    assert page.count("The inner seal does not fit") == 1
    assert "× 5" in page
    assert "Compare the key check value" in page
    assert "this nonce was used before" in page


def test_gaps_are_what_is_missing_in_both_counters(world: World, browse: Browse) -> None:
    for back, counter in enumerate([20, 19, 15, 14]):
        world.telegram(counter, back * PERIOD)
    radio = browse(world.cast.operator).get(reverse("adapter", args=[world.adapter.pk])).context["radio"]
    assert (radio.received, [(g.lost, g.skipped) for g in radio.gaps]) == (4, [(3, 0)])


def test_counters_skipped_at_a_restart_are_no_lost_telegrams(world: World, browse: Browse) -> None:
    for back, (counter, fcnt) in enumerate([(65, 14), (64, 13), (11, 12)]):
        world.telegram(counter, back * PERIOD, fcnt=fcnt)
    radio = browse(world.cast.operator).get(reverse("adapter", args=[world.adapter.pk])).context["radio"]
    assert (radio.lost, [(g.lost, g.skipped) for g in radio.gaps]) == (0, [(0, 52)])


def test_a_foreign_device_has_gaps_by_join_and_frame_counter(world: World, browse: Browse) -> None:
    for back, (epoch, fcnt) in enumerate([(2, 2), (2, 0), (1, 900)]):
        world.telegram(0, back * PERIOD, counter=None, epoch=epoch, fcnt=fcnt)
    radio = browse(world.cast.operator).get(reverse("adapter", args=[world.adapter.pk])).context["radio"]
    assert radio.lost == 1, "a join begins a new count and loses nothing"


def test_a_young_adapter_is_looked_at_by_the_hour(world: World, browse: Browse) -> None:
    client = browse(world.cast.viewer)
    url = reverse("adapter", args=[world.adapter.pk])
    world.reading(1000)
    assert client.get(url).context["range"] == "hour"
    world.reading(900, timedelta(days=2))
    assert client.get(url).context["range"] == "day"


def test_the_inputs_of_an_adapter_are_named_by_their_metering_points(world: World, browse: Browse) -> None:
    pump = world.cast.metering_point(world.site, "Heat pump")
    world.cast.meter(pump)
    world.cast.pairing(world.adapter, pump, input=1)
    world.readings([1000], 1)
    world.readings([2000], 32 + 1)
    page = page_of(world, browse(world.cast.viewer))
    assert "Import · Heat pump" in page
    assert f"Import · {world.pairing.metering_point.name}" in page


def test_raw_telegrams_can_be_copied(world: World, browse: Browse) -> None:
    telegram = world.telegram(7)
    page = page_of(world, browse(world.cast.operator))
    assert f'data-copy="{bytes(telegram.payload).hex()}"' in page


def test_a_viewer_sees_readings_and_no_radio(world: World, browse: Browse) -> None:
    world.readings([1000])
    world.telegram(7)
    page = page_of(world, browse(world.cast.viewer))
    assert "Last readings" in page
    assert "Raw telegrams" not in page
    assert "Refused frames" not in page


def test_an_auditor_sees_radio_and_no_readings(world: World, browse: Browse) -> None:
    world.readings([1000])
    page = page_of(world, browse(world.cast.auditor))
    assert "Raw telegrams" in page
    assert "Last readings" not in page


def test_who_may_not_read_values_sees_yet_that_the_first_one_came(world: World, browse: Browse) -> None:
    world.readings([1000])
    life = page_of(world, browse(world.cast.auditor)).partition("First reading")[2]
    assert "not yet" not in life.partition("</li>")[0]


def test_keys_are_shown_by_check_value_and_never_by_value(world: World, browse: Browse) -> None:
    page = page_of(world, browse(world.cast.custodian))
    for key in DeviceKey.objects.filter(adapter=world.adapter):
        assert key.check_value in page
        assert bytes(key.sealed).hex() not in page


def test_series_answers_with_columns_for_the_chart(world: World, browse: Browse) -> None:
    world.reading(9_000, timedelta(days=2))
    world.readings([10_000, 10_250])
    client = browse(world.cast.viewer)
    data = client.get(reverse("adapter-series", args=[world.adapter.pk]), {"group": "energy"}).json()
    assert data["series"][0]["values"] == [None, 1000.0]
    assert data["after"] is None
    assert data["end"] - data["start"] == 86400
    assert client.get(reverse("adapter-series", args=[world.adapter.pk]), {"group": "steam"}).status_code == 404


def test_link_quality_answers_with_columns_for_the_chart(world: World, browse: Browse) -> None:
    world.telegram(1, PERIOD)
    world.telegram(2)
    url = reverse("adapter-link", args=[world.adapter.pk])
    for range_ in ("day", "week", "month"):
        data = browse(world.cast.operator).get(url, {"range": range_}).json()
        assert [s["unit"] for s in data["series"]] == ["dBm", "dB", "DR"]
        assert data["series"][0]["values"][-1] == -87.0


def test_archiving_asks_for_the_number_and_names_what_is_gone(world: World, browse: Browse) -> None:
    client = browse(world.cast.operator)
    url = reverse("adapter-archive", args=[world.adapter.pk])
    assert "no more readings come" in text(client, url)
    assert client.post(url, {"confirm": "0000"}).status_code == 409
    refused = client.post(url, {"confirm": world.adapter.dev_eui[-4:]})
    assert "This adapter is paired; unpair it first." in refused.content.decode()
    unpair(STAGE, Pairing.objects.get(adapter=world.adapter), reason="test")
    assert client.post(url, {"confirm": world.adapter.dev_eui[-4:].upper()}).status_code == 302
    world.adapter.refresh_from_db()
    assert world.adapter.archived_at is not None
    assert "archived" in page_of(world, client)


def test_a_young_adapters_chart_begins_with_its_first_reading(world: World, browse: Browse) -> None:
    client = browse(world.cast.viewer)
    url = reverse("adapter-series", args=[world.adapter.pk])
    world.readings([10, 20, 30], step=timedelta(minutes=1))
    data = client.get(url, {"group": "energy", "range": "hour"}).json()
    assert 0 < data["end"] - data["start"] < 300
    week = client.get(url, {"group": "energy", "range": "week"}).json()
    assert week["end"] - week["start"] > 6 * 86_400
