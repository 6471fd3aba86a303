"""What the pipeline makes of keys that retire, and of adapters and concentrators that were revoked."""

from datetime import UTC, datetime, timedelta

import pytest

from meterwire.messages import timestamp
from provisioning.campaigns.models import Campaign, Delivery
from provisioning.fleet.models import Adapter, Concentrator
from provisioning.keys.models import DeviceKey, KeyState
from tests.portal.stage import NOON, Stage

pytestmark = pytest.mark.django_db
AT_NOON = datetime.fromtimestamp(NOON, UTC)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_retiring_key_opens_what_was_received_before_its_grace_was_over_and_nothing_after(stage: Stage) -> None:
    device = stage.device()
    DeviceKey.objects.update(state=KeyState.RETIRING, grace_until=AT_NOON + timedelta(seconds=2))
    early, late = (device.telegram(received_at=timestamp(NOON + after)) for after in (1, 3))
    arrivals = stage.run(early, late, now=NOON + 60)
    assert [arrival.error for arrival in arrivals] == [None, "no_valid_key"]


def test_a_key_that_retired_without_a_bound_goes_on_opening(stage: Stage) -> None:
    device = stage.device()
    DeviceKey.objects.update(state=KeyState.RETIRING, grace_until=None)
    assert stage.run(device.telegram())[0].error is None


def test_an_active_key_with_a_time_of_grace_left_over_is_not_bound_by_it(stage: Stage) -> None:
    device = stage.device()
    DeviceKey.objects.update(grace_until=AT_NOON - timedelta(days=1))
    assert stage.run(device.telegram())[0].error is None


def test_the_first_telegram_under_a_delivered_key_ends_its_delivery(stage: Stage) -> None:
    device = stage.device()
    key = DeviceKey.objects.get()
    DeviceKey.objects.update(state=KeyState.DELIVERING)
    campaign = Campaign.objects.create(organisation=stage.organisation)
    Delivery.objects.create(
        campaign=campaign, organisation=stage.organisation, adapter=device.row, key=key, state="confirmed"
    )
    stage.run(device.telegram())
    assert Delivery.objects.get().state == "active"
    assert DeviceKey.objects.get().state == "active"


def test_a_revoked_adapter_is_refused_at_once_also_a_foreign_one(stage: Stage) -> None:
    ours, foreign = stage.device(), stage.device(kind=Adapter.Kind.FOREIGN, keyed=False)
    assert [arrival.error for arrival in stage.run(ours.telegram(), foreign.telegram())] == [None, None]
    for device in (ours, foreign):
        Adapter.objects.filter(pk=device.row.pk).update(revoked_at=AT_NOON)
        stage.audit(device.row)
    refused = [arrival.error for arrival in stage.run(ours.telegram(), foreign.telegram())]
    assert refused == ["adapter_revoked", "adapter_revoked"]


def test_a_revoked_concentrator_is_a_stranger(stage: Stage) -> None:
    stage.pipeline.directory.refresh()
    assert stage.pipeline.directory.source(stage.concentrator.eui) is not None
    Concentrator.objects.update(revoked_at=AT_NOON)
    stage.audit(stage.concentrator)
    stage.pipeline.directory.refresh()
    assert stage.pipeline.directory.source(stage.concentrator.eui) is None
