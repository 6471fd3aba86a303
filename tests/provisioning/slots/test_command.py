"""`manage.py slot_plan` shows and changes how a concentrator divides its time."""

import pytest
from django.core.management import CommandError, call_command

from provisioning.audit.models import Entry
from provisioning.slots.models import SlotPlan
from tests.cast import Cast


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
