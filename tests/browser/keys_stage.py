"""A building whose keys are of every kind and state, and a second custodian who approves."""

from datetime import timedelta
from typing import Any

from tests.browser.stage import hashed

CUSTODIAN = "custodian@lindenhof.example"


def seed() -> dict[str, Any]:
    """Keys that end, were revoked, failed to arrive; a campaign under way, a schedule, a hand-over."""
    from django.utils import timezone

    from provisioning.campaigns.services import plan
    from provisioning.keys.models import DeviceKey, Purpose
    from provisioning.keys.services import revoke
    from tests.cast import Cast
    from tests.portal_web.world import World

    world = World(Cast.assemble())
    custodian = world.cast.custodian
    custodian.email = CUSTODIAN
    custodian.password = hashed()
    custodian.save()
    end = timezone.now() + timedelta(days=10)
    for number in range(5):
        adapter, _ = world.paired_adapter()
        DeviceKey.objects.filter(adapter=adapter, purpose=Purpose.INNER).update(
            not_after=end + timedelta(days=40 * number)
        )
    failed, running = world.campaign, plan(custodian, world.cast.organisation, scope=world.site, purpose="control_up")
    revoke(custodian, world.cast.inner_key(adapter), "Label was photographed")
    return {
        "key": world.key.pk, "adapter": world.adapter.pk, "concentrator": world.concentrator.pk,
        "failed": failed.pk, "running": running.pk, "schedule": world.schedule.pk, "handover": world.handover.pk,
        "eui": world.adapter.dev_eui,
    }  # fmt: skip


def approve() -> dict[str, Any]:
    """A second custodian approves what is asked for."""
    from provisioning.accounts.models import Organisation, Role
    from provisioning.accounts.services import add_member
    from provisioning.approvals import services
    from provisioning.approvals.models import Approval
    from tests.cast import STAGE

    asked = Approval.objects.get(state="pending")
    organisation: Organisation = asked.organisation
    second = add_member(STAGE, organisation, "second@lindenhof.example", Role.CUSTODIAN).user
    services.approve(second, asked)
    return {}
