"""What happens behind the browser's back: the building that most pages show, a reading, silence."""

from datetime import timedelta
from functools import cache
from math import sin
from typing import Any

PASSWORD = "a long and quiet password"
EMAIL = "owner@lindenhof.example"


@cache
def hashed() -> str:
    """PASSWORD as the database keeps it; at full cost, but once for all who have it."""
    from django.contrib.auth.hashers import make_password

    return make_password(PASSWORD)


def seed() -> dict[str, Any]:
    """A building with three adapters, one of them silent and one refused, and a day of readings."""
    from provisioning.accounts.models import User
    from provisioning.fleet.models import Concentrator
    from tests.cast import Cast
    from tests.portal_web.world import PERIOD, World

    world = World(Cast.assemble())
    owner = world.cast.owner
    owner.password = hashed()
    owner.email = EMAIL
    owner.save()
    User.objects.filter(pk=world.cast.operator.pk).update(email="operator@lindenhof.example", password=owner.password)
    world.cast.site("Empty school")
    count = 96
    energy, values, powers = 5_000_000, [], []
    for quarter in range(count):
        power = 400 + 300 * sin(quarter / 9)
        energy += round(power / 4)
        values.append(energy)
        powers.append(round(power))
    world.readings(values)
    world.readings(powers, 7)
    for back in range(count):
        if back != 11:
            world.telegram(count - back, back * PERIOD, rssi=-85.0 - back % 7, snr=6.0 + back % 5)
    world.event("joined", ago=timedelta(days=1))
    world.heard()
    silent, _pairing = world.paired_adapter()
    world.silent(silent)
    refused, _pairing = world.paired_adapter()
    world.heard(refused, last_error="tag_mismatch", last_error_at=world.now)
    world.telegram(3, adapter=refused, dev_eui=refused.dev_eui, error="tag_mismatch")
    world.event("heard", adapter=None, dev_eui="a81758fffe0412ab", detail={"join_eui": "a81758fffe000000", "count": 4})
    waiting = world.cast.concentrator(world.site)
    Concentrator.objects.filter(pk=waiting.pk).update(public_key="", key_approved_at=None, announced_key="ab" * 32)
    return {
        "adapter": world.adapter.pk,
        "silent": silent.pk,
        "refused": refused.pk,
        "site": world.site.pk,
        "concentrator": world.concentrator.pk,
        "waiting": waiting.pk,
        "pairing": world.pairing.pk,
        "token": world.token.pk,
        "energy": energy,
        "dev_eui": world.adapter.dev_eui,
    }


def reading(adapter: int, value: int) -> dict[str, Any]:
    """The pipeline stores a reading of import and tells the pages."""
    from django.utils import timezone

    from portal.telemetry.models import AdapterStatus, Reading, Silence

    now = timezone.now()
    Reading.objects.create(adapter_id=adapter, counter=int(now.timestamp()), register=1, measured_at=now, value=value)
    status = AdapterStatus.objects.select_related("adapter").get(adapter_id=adapter)
    AdapterStatus.objects.filter(pk=adapter).update(state="heard", last_seen=now)
    Silence.objects.filter(adapter_id=adapter, until=None).update(until=now)
    changes = [{"kind": "reading", "adapter": adapter, "at": now.isoformat()}]
    if status.state == "silent":
        changes.append({"kind": "status", "adapter": adapter})
    _publish(status.organisation_id, changes)
    return {}


def silence(adapter: int) -> dict[str, Any]:
    """An adapter falls silent."""
    from django.utils import timezone

    from portal.telemetry.models import AdapterStatus, Silence

    status = AdapterStatus.objects.get(adapter_id=adapter)
    AdapterStatus.objects.filter(pk=status.pk).update(state="silent")
    Silence.objects.create(organisation_id=status.organisation_id, adapter_id=status.pk, since=timezone.now())
    _publish(status.organisation_id, [{"kind": "status", "adapter": status.pk}])
    return {}


def tell(adapter: int) -> dict[str, Any]:
    """The pages are told of that adapter again, as they are of every further change."""
    from portal.telemetry.models import AdapterStatus

    _publish(AdapterStatus.objects.get(adapter_id=adapter).organisation_id, [{"kind": "status", "adapter": adapter}])
    return {}


def told_long_ago(adapter: int) -> dict[str, Any]:
    """Nothing was told for an hour, so a page that is opened now has missed nothing."""
    from time import time

    import redis
    from django.conf import settings

    from portal.telemetry.live import channel, last_key
    from provisioning.fleet.models import Adapter

    organisation = Adapter.objects.get(pk=adapter).organisation_id
    redis.from_url(settings.REDIS_URL).set(last_key(channel(organisation)), time() - 3600)
    return {}


def _publish(organisation: int, changes: list[dict[str, Any]]) -> None:
    from portal.telemetry.live import Changes, tell

    told = Changes()
    for change in changes:
        told.add(organisation, change["kind"], change["adapter"], None, change.get("at"))
    tell(told)
