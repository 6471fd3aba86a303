"""A building in every state of pairing, behind the browser's back.

It belongs to an organisation of its own, whose operator logs in, so that the other pages' counts stay as they are.
"""

import itertools
import json
from datetime import timedelta
from io import BytesIO
from typing import Any

from tests.browser.stage import hashed

EMAIL = "dispatch@nordstadt.example"


def seed() -> dict[str, Any]:
    """Pending at several stations, confirmed, mixed up, unreadable, ended; strangers, a blocked person, an archive."""
    from provisioning.fleet import services as fleet
    from provisioning.fleet.models import Adapter, MeteringPoint
    from provisioning.pairing import services
    from tests import cast as casting
    from tests.cast import STAGE, Cast, company
    from tests.portal_web.installed import Installed, typed
    from tests.portal_web.world import World

    casting._numbers = itertools.count(50_000)  # beyond what the other stage has numbered
    world = World(Cast(company("Nordstadt Messbetrieb"), company("Südstadt Netze")), mark="Hafenstraße")
    cast = world.cast
    cast.operator.password = hashed()
    cast.operator.email, cast.operator.first_name, cast.operator.last_name = EMAIL, "Ayşe", "Demir"
    cast.operator.save()
    cast.installer.first_name, cast.installer.last_name = "Jonas", "Petersen"
    cast.installer.save()
    installed, hours = Installed(world), timedelta(hours=1)
    scanned = world.now - 5 * hours
    rows = {
        "matched": installed.matched(
            ago=3 * hours, note="3rd floor, meter cupboard left", scanned_at=scanned, **typed("12345.5")
        ),
        "joining": installed.pairing("informed", ago=timedelta(minutes=4), note="cellar, behind the boiler"),
        "reading": installed.pairing("identity", ago=timedelta(seconds=30)),
        "unreadable": installed.unreadable(ago=2 * hours, note="Ferraris meter, pulse input", **typed("12345")),
        "strange": installed.mismatch(ago=6 * hours, held=7),
        "ended": installed.matched(ago=90 * hours),
        "moving": installed.matched(ago=30 * hours),
    }
    rows["mixed"] = installed.mismatch(rows["moving"], held=42, ago=hours, **typed("871.4"))
    services.set_photo(cast.installer, rows["matched"], _photo())
    spare = [cast.adapter(), cast.adapter(world.site)]
    Adapter.objects.filter(pk=spare[0].pk).update(serial="MS-2026-0412", site=None)
    services.replace_adapter(cast.operator, rows["ended"], spare[0], reason="Struck by lightning")
    free = cast.metering_point(world.site, "General supply")
    MeteringPoint.objects.filter(pk=free.pk).update(melo_id="DE00056266802AO6G56M11SN51G21M24S")
    knocking = cast.adapter(world.site)
    detail = {"join_eui": "70b3d57ed0000001", "rssi": -118.0, "snr": -7.5, "dr": 0, "gw": "0016c001f1000001"}
    world.event(
        "heard", ago=timedelta(minutes=2), adapter=knocking, dev_eui=knocking.dev_eui, detail={**detail, "count": 14}
    )
    world.event("heard", ago=timedelta(minutes=9), adapter=None, dev_eui="a81758fffe0412ab",
                detail={**detail, "rssi": -92.0, "snr": 4.0, "dr": 5, "count": 3})  # fmt: skip
    assert world.blocked == cast.installer
    assert world.archived.archived_at is not None
    fleet.archive_site(STAGE, cast.site("Kaischuppen 3"))
    keys = {name: row.pk for name, row in rows.items()}
    return {
        **keys,
        "adapter": rows["matched"].adapter_id,
        "knocking": knocking.pk,
        "archived": world.archived.pk,
        "spare": spare[1].pk,
        "spare_eui": spare[1].dev_eui,
        "site": world.site.pk,
        "joining_adapter": rows["joining"].adapter_id,
    }


def join(pairing: int) -> dict[str, Any]:
    """The adapter joins, and the bridge tells the pages."""
    import redis
    from django.conf import settings
    from django.utils import timezone

    from provisioning.pairing.models import Pairing
    from provisioning.pairing.services import record_step

    row = Pairing.objects.get(pk=pairing)
    record_step(row.pk, "joined", timezone.now(), {"rssi": -97.0})
    changes = [{"kind": "pairing", "adapter": row.adapter_id, "at": timezone.now().isoformat()}]
    redis.from_url(settings.REDIS_URL).publish(f"mspan:org:{row.organisation_id}", json.dumps(changes))
    return {}


def _photo() -> bytes:
    """A meter of sorts."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (800, 600), "#8d9499")
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((180, 60, 620, 540), 40, fill="#e9ebe6", outline="#40464a", width=6)
    draw.rectangle((260, 150, 540, 230), fill="#b9c7a5", outline="#40464a", width=4)
    draw.text((330, 172), "12345.5 kWh", fill="black", font_size=36)
    draw.text((270, 420), "1 EMH 00 0000 0012", fill="black", font_size=30)
    out = BytesIO()
    image.save(out, "JPEG", quality=80)
    return out.getvalue()
