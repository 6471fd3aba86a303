"""`manage.py slot_plan` shows and changes how a concentrator divides its time."""

import json

import pytest
from django.core.management import CommandError, call_command

from provisioning.audit.models import Entry
from provisioning.slots.models import SlotPlan
from provisioning.slots.services import assign
from tests.cast import STAGE, Cast


def test_slots_are_switched_on_and_off_and_the_audit_has_it(cast: Cast, capsys: pytest.CaptureFixture[str]) -> None:
    cellar = cast.concentrator(cast.site())
    call_command("slot_plan", cellar.eui, "--off")
    assert not SlotPlan.objects.get(concentrator=cellar).by_pairing
    call_command("slot_plan", cellar.eui.upper(), "--on", "--guard-ms", "100", "--previous")

    plan = SlotPlan.objects.get(concentrator=cellar)
    assert (plan.by_pairing, plan.guard_ms, plan.previous) == (True, 100, True)
    assert "slots on" in capsys.readouterr().out
    assert Entry.objects.filter(action="slot_plan.updated").count() == 2


def test_only_looking_changes_nothing(cast: Cast, capsys: pytest.CaptureFixture[str]) -> None:
    cellar = cast.concentrator(cast.site())
    SlotPlan.objects.all().delete()
    call_command("slot_plan", cellar.eui)
    assert "slots on" in capsys.readouterr().out
    assert not SlotPlan.objects.exists()


def test_what_cannot_be_is_said(cast: Cast) -> None:
    with pytest.raises(CommandError, match="No concentrator"):
        call_command("slot_plan", "ffffffffffffffff", "--on")
    with pytest.raises(CommandError, match="quantum"):
        call_command("slot_plan", cast.concentrator(cast.site()).eui, "--quantum-ms", "7")


def test_a_beacon_is_planned_and_programs_read_it(cast: Cast, capsys: pytest.CaptureFixture[str]) -> None:
    cellar = cast.concentrator(cast.site())
    assign(STAGE, cast.adapter(cellar.site, cellar), period_s=900, data_rate=5)
    call_command("slot_plan", cellar.eui, "--beacon", "900", "--beacon-rate", "2", "--previous", "--json")
    told = json.loads(capsys.readouterr().out)
    assert {name: told[name] for name in ("eui", "beacon_period_s", "beacon_data_rate", "previous", "slots")} == {
        "eui": cellar.eui, "beacon_period_s": 900, "beacon_data_rate": 2, "previous": True, "slots": 1,
    }  # fmt: skip
    call_command("slot_plan", cellar.eui, "--beacon", "0", "--no-previous", "--guard", "0", "--reserve", "0")
    plan = SlotPlan.objects.get(concentrator=cellar)
    assert (plan.beacon_period_s, plan.previous, plan.guard_ms, plan.reserve) == (0, False, 0, 0)
    assert "beacon: none" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [("--beacon", "120", "beacon"), ("--beacon-rate", "6", "data rate"), ("--guard", "-1", "guard")],
)
def test_what_is_outside_of_a_plan_is_refused(cast: Cast, option: str, value: str, said: str) -> None:
    cellar = cast.concentrator(cast.site())
    with pytest.raises(CommandError, match=said):
        call_command("slot_plan", cellar.eui, f"{option}={value}")
    assert not SlotPlan.objects.exists()
