"""Switching an organisation to sealed telemetry and back, and what the bridge makes of it."""

import pytest

from portal.telemetry.changes import Changed, Changes
from portal.telemetry.models import Reading
from portal.telemetry.sealed_asking import open_values
from portal.telemetry.sealed_setting import ask_to_unseal, seal, unseal
from provisioning.approvals.services import approve, refuse
from provisioning.audit.models import Entry
from provisioning.errors import Conflict, Forbidden, Invalid
from tests.portal.stage import Stage
from tests.portal.telemetry.sealed_stage import END, START, person


def newest(stage: Stage) -> int | None:
    """What the database holds of the value that was sent last, through the concentrator as the bridge looks it up."""
    source = stage.pipeline.directory.source(stage.concentrator.eui)
    stage.run(stage.device().telegram((1, 77)), source=source)
    return Reading.objects.order_by("-adapter_id")[0].value


def test_the_administrator_switches_it_on_and_the_next_batch_is_sealed(stage: Stage) -> None:
    assert newest(stage) == 77
    administrator = person(stage, "administrator")
    seal(administrator, stage.organisation, "decided by the board")
    stage.pipeline.directory.refresh()
    assert newest(stage) is None
    entry = Entry.objects.get(action="telemetry.sealed")
    assert (entry.actor_id, entry.data) == (administrator.pk, {"reason": "decided by the board"})


def test_switching_it_off_needs_a_custodian_s_approval_and_leaves_history_sealed(stage: Stage) -> None:
    administrator, custodian, operator = (person(stage, role) for role in ("administrator", "custodian", "operator"))
    seal(administrator, stage.organisation, "decided by the board")
    assert newest(stage) is None
    history = Reading.objects.get()
    with pytest.raises(Conflict):
        unseal(administrator, stage.organisation, "asked nobody")
    approval = ask_to_unseal(administrator, stage.organisation, "a customer complains")
    with pytest.raises(Conflict):
        unseal(administrator, stage.organisation, "not approved yet")
    approve(custodian, approval)
    unseal(administrator, stage.organisation, "a customer complains")
    stage.pipeline.directory.refresh()
    assert newest(stage) == 77
    found = open_values(operator, "customer", start=START, end=END, adapter=history.adapter_id)
    assert list(found.values().values()) == [77]


def test_an_approval_serves_once(stage: Stage) -> None:
    administrator, custodian = person(stage, "administrator"), person(stage, "custodian")
    seal(administrator, stage.organisation, "on")
    approve(custodian, ask_to_unseal(administrator, stage.organisation, "off"))
    unseal(administrator, stage.organisation, "off")
    seal(administrator, stage.organisation, "on again")
    with pytest.raises(Conflict):
        unseal(administrator, stage.organisation, "off again")
    stage.organisation.refresh_from_db()
    assert stage.organisation.sealed_telemetry


def test_a_refused_request_switches_nothing(stage: Stage) -> None:
    administrator, custodian = person(stage, "administrator"), person(stage, "custodian")
    seal(administrator, stage.organisation, "on")
    refuse(custodian, ask_to_unseal(administrator, stage.organisation, "off"), "no")
    with pytest.raises(Conflict):
        unseal(administrator, stage.organisation, "off")


@pytest.mark.parametrize("role", ["operator", "custodian", "auditor", "viewer", "installer"])
def test_nobody_else_switches(stage: Stage, role: str) -> None:
    member = person(stage, role)
    for deed in (seal, unseal, ask_to_unseal):
        with pytest.raises(Forbidden):
            deed(member, stage.organisation, "because")
    stage.organisation.refresh_from_db()
    assert not stage.organisation.sealed_telemetry


def test_no_reason_and_a_second_time_are_refused(stage: Stage) -> None:
    administrator = person(stage, "administrator")
    with pytest.raises(Invalid):
        seal(administrator, stage.organisation, " ")
    with pytest.raises(Conflict):
        ask_to_unseal(administrator, stage.organisation, "nothing is sealed")
    seal(administrator, stage.organisation, "on")
    with pytest.raises(Conflict):
        seal(administrator, stage.organisation, "on")


def test_the_bridge_forgets_everything_when_it_is_switched_and_nothing_when_values_are_opened(stage: Stage) -> None:
    administrator, operator, device = person(stage, "administrator"), person(stage), stage.device()
    changes = Changes()
    changes.poll()
    open_values(operator, "fault", start=START, end=END, adapter=device.row.pk)
    assert changes.poll() == Changed()
    seal(administrator, stage.organisation, "on")
    assert changes.poll() == Changed(everything=True)
