"""Who may do what: the matrix itself, and every service against every role and against other organisations."""

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import transaction

from provisioning.accounts import queries as account_queries
from provisioning.accounts import services as accounts
from provisioning.accounts.models import Role
from provisioning.accounts.permissions import ACTIONS, MATRIX, allows, may, require, roles_with
from provisioning.audit import queries as audit_queries
from provisioning.audit.models import Entry
from provisioning.campaigns import services as campaigns
from provisioning.errors import Forbidden
from provisioning.fleet import queries as fleet_queries
from provisioning.fleet import services as fleet
from provisioning.keys import queries as key_queries
from provisioning.keys import services as keys
from provisioning.pairing import queries as pairing_queries
from provisioning.pairing import services as pairing
from provisioning.slots import queries as slot_queries
from provisioning.slots import services as slots
from tests.cast import STAGE, Cast
from tests.provisioning.deeds import Deed
from tests.provisioning.slot_deeds import DEEDS

# Not for people: what the system's own processes call, or what concerns only the caller.
INTERNAL = {
    "create_organisation",
    "set_preferences",
    "authenticate_token",
    "report_state",
    "heard_under",
    "mark_used",
    "take_in",
    "record_step",
    "first_rate",
    "follow_rate",
    "follow_refusal",
    "give_missing",
    "give_slots",
    "hear_echo",
    "refresh_many",
    "renew_next",
    "renew_slot",
    "set_periods",
    "found_identity",
    "desired_configuration",
    "reseal_step",
    "agreed",
    "answered",
    "activated",
    "begin",
    "begin_notice",
    "due",
    "ephemeral",
    "failed",
    "give_up",
    "next_seq",
    "notice_answered",
    "notice_failed",
    "notice_sent",
    "notices_due",
    "owe_proof",
    "owe_revocations",
    "seen_seq",
    "sent",
    "tick",
    "unanswered",
    "refresh_configuration",
    "echoed",
    "hand_on",
    "heard_by",
    "note_margin",
    "plan_of",
    "propose",
    "put",
    "slowest_rate",
    "take_back",
}


def test_every_action_is_in_the_matrix() -> None:
    assert set(MATRIX) == set(ACTIONS)


def test_the_administrator_cannot_reveal_keys_and_the_custodian_cannot_change_the_fleet() -> None:
    assert not allows(Role.ADMINISTRATOR, "keys.reveal")
    assert not allows(Role.CUSTODIAN, "fleet.edit")


def test_nobody_has_every_action() -> None:
    assert all(any(not allows(role, action) for action in ACTIONS) for role in Role.values)


def test_roles_with_names_the_roles() -> None:
    assert roles_with("audit.view") == {Role.AUDITOR, Role.ADMINISTRATOR}


def test_every_service_is_tried_below() -> None:
    services = set().union(*(_public(module) for module in (accounts, campaigns, fleet, keys, pairing, slots)))
    assert {deed.name for deed in DEEDS} == services - INTERNAL


@pytest.mark.parametrize("deed", DEEDS, ids=str)
def test_a_service_is_open_to_exactly_the_roles_of_the_matrix_and_to_no_outsider(cast: Cast, deed: Deed) -> None:
    attempt = deed.prepare(cast)
    for role, person in cast.home.people.items():
        allowed = all(allows(role, action) for action in deed.actions)
        assert _succeeds(attempt, person) is allowed, role
    for role, person in cast.away.people.items():
        assert not _succeeds(attempt, person), f"{role} of another organisation"
    for role, person in cast.home.people.items():
        person.is_active = False
        person.save()
        assert not _succeeds(attempt, person), f"blocked {role}"


VISIBLE: dict[str, Callable[..., Any]] = {
    "sites": fleet_queries.visible_sites,
    "sites with counts": fleet_queries.sites_with_counts,
    "metering points": fleet_queries.visible_metering_points,
    "meters": fleet_queries.visible_meters,
    "concentrators": fleet_queries.visible_concentrators,
    "adapters": fleet_queries.visible_adapters,
    "pairings": pairing_queries.visible_pairings,
    "keys": key_queries.visible_keys,
    "slots": slot_queries.visible_assignments,
}


@pytest.mark.parametrize("query", VISIBLE.values(), ids=VISIBLE.keys())
def test_a_query_shows_ones_own_rows_and_none_of_another_organisation(cast: Cast, query: Callable[..., Any]) -> None:
    site = cast.site()
    adapter = cast.keyed_adapter(site, cast.concentrator(site))
    point = cast.metering_point(site)
    cast.meter(point)
    cast.pairing(adapter, point)
    assert query(cast.operator).exists()
    assert query(cast.operator, cast.organisation).exists()
    assert not query(cast.outsider).exists()
    assert not query(cast.outsider, cast.organisation).exists()
    assert not query(cast.operator, cast.away.organisation).exists()
    assert not query(AnonymousUser()).exists()
    assert query(STAGE, cast.organisation).exists()
    assert not query(STAGE, cast.away.organisation).exists()


@pytest.mark.parametrize("query", [account_queries.members, account_queries.tokens, audit_queries.entries])
def test_a_query_about_people_refuses_those_without_the_role(cast: Cast, query: Callable[..., Any]) -> None:
    assert query(cast.auditor, cast.organisation) is not None
    for person in (cast.viewer, cast.outsider, cast.away.people["auditor"]):
        with pytest.raises(Forbidden):
            query(person, cast.organisation)


def test_keys_stay_out_of_sight_of_a_viewer(cast: Cast) -> None:
    cast.keyed_adapter()
    assert not key_queries.visible_keys(cast.viewer, cast.organisation).exists()


def test_readings_stay_out_of_sight_of_the_custodian(cast: Cast) -> None:
    cast.metering_point()
    points = fleet_queries.visible_metering_points
    assert points(cast.custodian, cast.organisation).exists()
    assert not points(cast.custodian, cast.organisation, action="readings.view").exists()


def test_an_anonymous_visitor_may_nothing(cast: Cast) -> None:
    assert not any(may(AnonymousUser(), cast.organisation, action) for action in ACTIONS)  # type: ignore[arg-type]


def test_a_superuser_sees_nobodys_data_without_membership(cast: Cast) -> None:
    cast.outsider.is_superuser = True
    cast.outsider.save()
    assert not any(may(cast.outsider, cast.organisation, action) for action in ACTIONS)


def test_require_says_what_to_do(cast: Cast) -> None:
    with pytest.raises(Forbidden, match="ask an administrator") as refusal:
        require(cast.viewer, cast.organisation, "fleet.edit")
    assert refusal.value.code == "forbidden"
    assert not refusal.value.temporary


class _Undo(Exception):
    """Ends an attempt that succeeded, so that the next person finds everything as it was."""


def _succeeds(attempt: Callable[[Any], Any], person: Any) -> bool:
    """Whether the attempt is allowed; a refused one must have left no trace in the audit."""
    before = Entry.objects.count()
    try:
        with transaction.atomic():
            attempt(person)
            raise _Undo
    except _Undo:
        return True
    except Forbidden:
        assert Entry.objects.count() == before
        return False


def _public(module: ModuleType) -> set[str]:
    package = module.__name__.rsplit(".services", 1)[0]
    return {
        name
        for name, thing in vars(module).items()
        if inspect.isfunction(thing) and not name.startswith("_") and thing.__module__.startswith(f"{package}.services")
    }
