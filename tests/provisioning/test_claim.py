"""Pairing by two scans: what becomes of it, and what is answered when it cannot be."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from provisioning.accounts.models import User
from provisioning.accounts.services import change_member, create_token
from provisioning.audit.models import Entry
from provisioning.errors import Forbidden, Invalid
from provisioning.fleet.models import Adapter, Meter, MeteringPoint, Site
from provisioning.fleet.services import create_adapter, grant_site
from provisioning.labels.models import OwnerToken
from provisioning.labels.services import issue_token
from provisioning.pairing.models import Claim, Configuration, Pairing, WrongClaim
from provisioning.pairing.queries import blocked_people, installations, progress
from provisioning.pairing.services import Answer, ClaimRequest, claim, clear_wrong_claims, unpair
from tests.cast import JOIN_EUI, STAGE, Cast
from tests.provisioning.labelled import METER, TOKEN, label_of, labelled

NOW = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)
WRONG = "ZZZZZZZZZZZZZZZZZZZZZZZZZZ"


def boxed(cast: Cast, dev_eui: str = "70b3d57ed2000001") -> Adapter:
    """An adapter in stock: at no site, under no concentrator."""
    return create_adapter(STAGE, cast.organisation, dev_eui=dev_eui, join_eui=JOIN_EUI)


def scan(cast: Cast, request: ClaimRequest, person: User | None = None, key: str = "key-00000001") -> Answer:
    return claim(person or cast.installer, cast.organisation, request, key=key, now=NOW)


def actions(**filters: Any) -> list[str]:
    return list(Entry.objects.filter(**filters).order_by("id").values_list("action", flat=True))


def test_two_scans_make_a_pairing_with_all_that_it_needs(cast: Cast) -> None:
    adapter, site = boxed(cast), cast.site()
    concentrator = cast.concentrator(site)
    before = concentrator.desired_revision
    request = labelled(
        adapter, site=site, note="2nd floor left", display_value=Decimal("1234.5"), scanned_at=NOW - timedelta(hours=3)
    )
    answer = scan(cast, request)
    assert answer.status == 201
    pairing = answer.pairing
    assert pairing is not None
    adapter.refresh_from_db()
    assert (adapter.site, adapter.concentrator) == (site, concentrator)
    concentrator.refresh_from_db()
    assert concentrator.desired_revision == before + 1
    assert (pairing.state, pairing.identity, pairing.claimed_by) == ("pending", "unknown", cast.installer)
    assert pairing.metering_point.name == "2nd floor left"
    assert pairing.meter is not None
    assert pairing.meter.meter_id == "1EMH0012345678"
    assert (pairing.display_value, pairing.display_unit) == (Decimal("1234.500"), "kWh")
    reached = progress(pairing)
    assert [step for step, at, _ in reached if at] == ["claimed", "paired"]
    assert reached[1][2] == {"concentrator": concentrator.eui, "revision": before + 1}
    configuration = Configuration.objects.get(adapter=adapter)
    assert configuration.version == 1
    assert configuration.records.startswith("010b000a01454d480000bc614e" + "100d0001")  # its identity, its slot
    assert OwnerToken.objects.get(adapter=adapter).state == "consumed"
    done = actions(actor=cast.installer)
    assert set(done) == {
        "metering_point.created", "meter.installed", "adapter.moved", "pairing.created", "label.token_used",
    }  # fmt: skip
    assert list(installations(cast.installer, cast.organisation, NOW)) == [pairing]


def test_neither_audit_nor_answers_keep_the_owner_token(cast: Cast) -> None:
    request = labelled(boxed(cast), site=cast.site())
    scan(cast, request)
    assert TOKEN not in repr(request)
    assert TOKEN not in str(list(Entry.objects.values())) + str(list(Claim.objects.values()))


def test_the_same_key_gives_the_same_answer_without_a_second_effect(cast: Cast) -> None:
    request = labelled(boxed(cast), site=cast.site())
    first = scan(cast, request)
    entries = Entry.objects.count()
    again = scan(cast, request)
    assert (again.status, again.body, again.pairing) == (first.status, first.body, first.pairing)
    assert (Pairing.objects.count(), Entry.objects.count()) == (1, entries)
    other = scan(cast, replace(request, note="another"))
    assert (other.status, other.body["code"]) == (409, "key_reused")


def test_keys_are_each_persons_own(cast: Cast) -> None:
    scan(cast, labelled(boxed(cast), site=cast.site()))
    second = labelled(boxed(cast, "70b3d57ed2000002"), "1 EMH 00 8765 4321", site=cast.site())
    assert scan(cast, second, cast.operator).status == 201


@pytest.mark.parametrize("key", ["", "short", "x" * 81, "with blank", "ümlautkey", "line\nbreak1"])
def test_a_key_that_is_none_is_refused(cast: Cast, key: str) -> None:
    with pytest.raises(Invalid):
        scan(cast, ClaimRequest("x", "y"), key=key)


def test_a_refusal_is_repeated_too_even_when_it_would_be_granted_by_now(cast: Cast) -> None:
    request = ClaimRequest(f"LW:D0:{JOIN_EUI.upper()}:70B3D57ED2000001:000A000B:O{TOKEN}", METER, cast.site())
    assert scan(cast, request).body["code"] == "unknown_adapter"
    labelled(boxed(cast))
    assert scan(cast, request).body["code"] == "unknown_adapter"
    assert scan(cast, request, key="key-00000002").status == 201


def test_another_organisations_adapter_is_as_unknown_as_one_that_nobody_has(
    cast: Cast, django_assert_max_num_queries: Any
) -> None:
    theirs = cast.adapter(cast.site(company=cast.away))
    request = labelled(theirs, site=cast.site())
    nobodys = replace(request, adapter_scan=label_of(Adapter(join_eui=JOIN_EUI, dev_eui="70b3d57ed2ffffff")))
    answers, queries = [], []
    for number, one in enumerate((request, nobodys)):
        with django_assert_max_num_queries(20) as seen:
            answers.append(scan(cast, one, key=f"key-0000000{number}"))
        queries.append([query["sql"].split(" ")[0] for query in seen.captured_queries])
    assert (answers[0].status, answers[0].body) == (answers[1].status, answers[1].body)
    assert answers[0].status == 404
    assert queries[0] == queries[1]


@pytest.mark.parametrize(
    ("adapter_scan", "meter_scan", "field", "code"),
    [
        ("", METER, "adapter_scan", "empty"),
        ("LW:D0:70B3D57ED0000001:70B3D57ED2", METER, "adapter_scan", "shape"),
        ("LW:D0:70B3D57ED0000001:70B3D57ED2000001:000A000B:OAB:C0000", METER, "adapter_scan", "checksum"),
        (METER, "x", "adapter_scan", "meter"),
        ("https://example.org/x", METER, "adapter_scan", "url"),
        ("WIFI:S:home;P:secret;;", METER, "adapter_scan", "wifi"),
        ("LW:D0\x00", METER, "adapter_scan", "control_characters"),
        ("x" * 600, METER, "adapter_scan", "too_long"),
        ("70B3D57ED2000001", "1 EMH 0O 1234 5678", "meter_scan", "confused"),
        ("70B3D57ED2000001", "4006381333931", "meter_scan", "ean"),
        ("70B3D57ED2000001", "70B3D57ED2000001", "meter_scan", "dev_eui"),
    ],
)
def test_a_wrong_code_is_named_for_what_it_is(
    cast: Cast, adapter_scan: str, meter_scan: str, field: str, code: str
) -> None:
    answer = scan(cast, ClaimRequest(adapter_scan, meter_scan))
    assert answer.status == 400
    assert (answer.body["field"], answer.body["code"]) == (field, code)
    assert answer.body["message"].endswith((".", "?"))
    assert not Claim.objects.exists()


def test_a_typed_number_proves_nothing_except_for_those_who_may_end_pairings(cast: Cast) -> None:
    adapter = boxed(cast)
    request = ClaimRequest(adapter.dev_eui, METER, cast.site())
    assert scan(cast, request).body["code"] == "token_needed"
    assert not WrongClaim.objects.exists()
    assert scan(cast, request, cast.operator).status == 201


def test_five_wrong_tokens_block_the_person_and_not_the_adapter(cast: Cast) -> None:
    adapter = boxed(cast)
    right = labelled(adapter, site=cast.site())
    wrong = replace(right, adapter_scan=label_of(adapter, WRONG))
    for number in range(5):
        assert scan(cast, wrong, key=f"wrong-key-{number}").body["code"] == "wrong_token"
    assert scan(cast, wrong, key="wrong-key-0").body["code"] == "wrong_token"  # repeated, not tried again
    assert WrongClaim.objects.count() == 5
    blocked = scan(cast, right)
    assert (blocked.status, blocked.body["code"]) == (403, "blocked")
    assert [(who, who.wrong) for who in blocked_people(cast.organisation)] == [(cast.installer, 5)]
    assert not blocked_people(cast.away.organisation)
    assert actions(action__startswith="pairing.")[-2:] == ["pairing.wrong_token", "pairing.blocked"]
    assert scan(cast, right, cast.operator, "operators-key").status == 201
    with pytest.raises(Forbidden):
        clear_wrong_claims(cast.installer, cast.organisation, cast.installer)
    assert clear_wrong_claims(cast.operator, cast.organisation, cast.installer) == 5
    assert scan(cast, right).body["code"] == "already_paired"
    assert not blocked_people(cast.organisation)


def test_nobody_unblocks_themselves(cast: Cast) -> None:
    with pytest.raises(Forbidden, match="Somebody else"):
        clear_wrong_claims(cast.operator, cast.organisation, cast.operator)


def test_attempts_of_a_persons_tokens_count_for_the_person(cast: Cast) -> None:
    adapter = boxed(cast)
    request = replace(labelled(adapter, site=cast.site()), adapter_scan=label_of(adapter, WRONG))
    for number in range(5):
        token = create_token(cast.installer, cast.organisation, f"phone {number}", read_only=False).token
        claim(token, cast.organisation, request, key=f"wrong-key-{number}", now=NOW)
    assert scan(cast, request).body["code"] == "blocked"


def test_wrong_checksums_are_no_attempts(cast: Cast) -> None:
    adapter = boxed(cast)
    broken = label_of(adapter)[:-4] + "0000"
    for number in range(6):
        scan(cast, ClaimRequest(broken, METER), key=f"broken-{number}")
    assert not WrongClaim.objects.exists()


def test_the_second_installer_is_told_who_was_first_and_when(cast: Cast) -> None:
    request = labelled(boxed(cast), site=cast.site())
    scan(cast, request)
    answer = scan(cast, request, cast.operator, "another-key")
    assert (answer.status, answer.body["code"]) == (409, "already_paired")
    assert (answer.body["who"], answer.body["when"]) == (cast.installer.email, NOW.isoformat())
    assert cast.installer.email in answer.body["message"]
    assert not WrongClaim.objects.exists()


def test_a_meter_is_read_by_one_adapter(cast: Cast) -> None:
    site = cast.site()
    scan(cast, labelled(boxed(cast), site=site))
    second = boxed(cast, "70b3d57ed2000002")
    answer = scan(cast, labelled(second, site=site), key="another-key")
    assert (answer.status, answer.body["code"], answer.body["field"]) == (409, "meter_paired", "meter_scan")
    assert OwnerToken.objects.get(adapter=second).state == "new"


def test_a_used_label_adds_inputs_but_does_not_pair_again(cast: Cast) -> None:
    adapter, site = boxed(cast), cast.site()
    request = labelled(adapter, site=site)
    first = scan(cast, request)
    second = scan(cast, replace(request, meter_scan="1 EMH 00 8765 4321", input=1), key="second-input")
    assert second.status == 201
    for answer in (first, second):
        assert answer.pairing is not None
        unpair(cast.operator, answer.pairing, reason="moved out", at=NOW)
    adapter.refresh_from_db()
    assert (adapter.site, adapter.concentrator) == (None, None)
    assert scan(cast, request, key="after-that").body["code"] == "label_used"
    issue_token(STAGE, adapter)
    assert scan(cast, request, key="replaced-1").body["code"] == "label_used"
    assert scan(cast, labelled(adapter, token="N" * 26, site=site), key="new-label").status == 201


def test_a_replaced_label_is_recognised_and_is_no_guess(cast: Cast) -> None:
    adapter = boxed(cast)
    request = labelled(adapter, site=cast.site())
    issue_token(STAGE, adapter)
    assert scan(cast, request).body["code"] == "label_replaced"
    assert not WrongClaim.objects.exists()


def test_without_a_site_the_person_is_asked_and_may_answer_under_the_same_key(cast: Cast) -> None:
    request = labelled(boxed(cast))
    site = cast.site("Lindenweg 8")
    answer = scan(cast, request)
    assert (answer.status, answer.body["code"]) == (409, "site_needed")
    assert answer.body["choices"] == [{"id": site.pk, "name": "Lindenweg 8"}]
    assert scan(cast, replace(request, site=site)).status == 201


def test_a_meter_that_hangs_there_already_says_where_the_adapter_goes(cast: Cast) -> None:
    meter = cast.meter(meter_id=METER)
    answer = scan(cast, labelled(boxed(cast)))
    assert answer.pairing is not None
    assert (answer.pairing.metering_point, answer.pairing.meter) == (meter.metering_point, meter)
    assert (Meter.objects.count(), MeteringPoint.objects.count()) == (1, 1)


def test_a_meter_registered_elsewhere_is_not_moved_by_a_scan(cast: Cast) -> None:
    cast.meter(meter_id=METER)
    answer = scan(cast, labelled(boxed(cast), site=cast.site()))
    assert (answer.status, answer.body["code"]) == (409, "meter_elsewhere")


def test_another_meter_at_the_metering_point_is_named(cast: Cast) -> None:
    other = cast.meter(meter_id="1 EMH 00 8765 4321")
    answer = scan(cast, labelled(boxed(cast), metering_point=other.metering_point))
    assert (answer.status, answer.body["code"]) == (409, "other_meter")
    assert "1 EMH 00 8765 4321" in answer.body["message"]


def test_what_a_refused_scan_had_begun_is_undone(cast: Cast) -> None:
    site = cast.site()
    adapter = boxed(cast)
    answer = scan(cast, labelled(adapter, site=site, note="x" * 201))
    assert (answer.status, answer.body["field"]) == (400, "note")
    assert not Meter.objects.exists()
    assert not MeteringPoint.objects.exists()
    adapter.refresh_from_db()
    assert adapter.site is None


def test_a_person_limited_to_sites_pairs_there_and_nowhere_else(cast: Cast) -> None:
    here, there = cast.site(), cast.site()
    member = change_member(cast.owner, cast.home.member("installer"), role="installer", all_sites=False)
    grant_site(cast.owner, member, here)
    with pytest.raises(Forbidden):
        scan(cast, labelled(boxed(cast), site=there))
    elsewhere = cast.adapter(there)
    with pytest.raises(Forbidden):
        scan(cast, labelled(elsewhere, site=here))
    choices = scan(cast, ClaimRequest(label_of(boxed(cast, "70b3d57ed2000003"), None), METER)).body
    assert choices["code"] == "token_needed"
    adapter = boxed(cast, "70b3d57ed2000002")
    asked = scan(cast, labelled(adapter))
    assert asked.body["choices"] == [{"id": here.pk, "name": here.name}]
    assert scan(cast, labelled(adapter, token="M" * 26, site=here)).status == 201


def test_roles_without_the_right_and_outsiders_are_refused(cast: Cast) -> None:
    request = labelled(boxed(cast), site=cast.site())
    for person in (cast.viewer, cast.auditor, cast.custodian, cast.outsider):
        with pytest.raises(Forbidden):
            scan(cast, request, person)
    with pytest.raises(Forbidden):
        claim(STAGE, cast.organisation, request, key="key-00000001")
    assert not Claim.objects.exists()


def test_sites_of_another_organisation_do_not_exist(cast: Cast) -> None:
    answer = scan(cast, labelled(boxed(cast), site=cast.site(company=cast.away)))
    assert (answer.status, answer.body["field"]) == (400, "site")


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal(-1), Decimal(10) ** 11, Decimal("Infinity")])
def test_a_display_shows_a_number(cast: Cast, value: Decimal) -> None:
    answer = scan(cast, labelled(boxed(cast), site=cast.site(), display_value=value))
    assert (answer.status, answer.body["field"]) == (400, "display_value")


@pytest.mark.parametrize("days", [-100, 3])
def test_a_phones_clock_that_cannot_be_right_is_not_kept(cast: Cast, days: int) -> None:
    answer = scan(cast, labelled(boxed(cast), site=cast.site(), scanned_at=NOW + timedelta(days=days)))
    assert answer.pairing is not None
    assert answer.pairing.scanned_at is None


def test_names_that_are_taken_get_the_meters_number(cast: Cast) -> None:
    site = cast.site()
    cast.metering_point(site, "Cellar")
    answer = scan(cast, labelled(boxed(cast), site=site, note="Cellar"))
    assert answer.pairing is not None
    assert answer.pairing.metering_point.name == "Cellar (1 EMH 00 1234 5678)"
    unnamed = labelled(boxed(cast, "70b3d57ed2000002"), "1 EMH 00 8765 4321", site=site)
    second = scan(cast, unnamed, key="second-key").pairing
    assert second is not None
    assert second.metering_point.name == "Meter 1 EMH 00 8765 4321"


def test_of_several_concentrators_the_one_that_heard_it_best_serves_it(cast: Cast) -> None:
    site = cast.site()
    weak, strong = cast.concentrator(site), cast.concentrator(site)
    request = labelled(boxed(cast), site=site)
    answer = claim(
        cast.installer, cast.organisation, request, key="key-00000001", now=NOW,
        heard=lambda adapter, rows: {weak.pk: -118.0, strong.pk: -84.0},
    )  # fmt: skip
    assert answer.pairing is not None
    assert answer.pairing.adapter.concentrator == strong


def test_a_site_without_a_concentrator_still_pairs(cast: Cast) -> None:
    answer = scan(cast, labelled(boxed(cast), site=cast.site()))
    assert answer.pairing is not None
    assert answer.pairing.adapter.concentrator is None
    assert progress(answer.pairing)[1][2] == {}


def test_an_archived_adapter_or_site_takes_no_part(cast: Cast) -> None:
    site = cast.site()
    request = labelled(boxed(cast), site=site)
    Site.objects.filter(pk=site.pk).update(archived_at=NOW)
    assert scan(cast, request).status == 409
    Adapter.objects.update(archived_at=NOW)
    assert scan(cast, request).body["code"] == "unknown_adapter"


def test_a_scan_asks_the_database_a_bounded_number_of_questions(cast: Cast, django_assert_max_num_queries: Any) -> None:
    site = cast.site()
    cast.concentrator(site)
    request = labelled(boxed(cast), site=site)
    with django_assert_max_num_queries(70):  # the first slot of a concentrator included
        assert scan(cast, request).status == 201
    with django_assert_max_num_queries(8):
        scan(cast, request)
