"""What happens behind an installer's back.

A cellar of an organisation of its own, so that its numbers disturb no other page's test; and the steps that the bridge
would record of a pairing, told to the pages as the bridge would tell them.
"""

import json
from datetime import timedelta
from typing import Any

from tests.browser.stage import hashed

EMAIL, OPERATOR = "installer@keller.example", "operator@keller.example"
SITES = ("Lindenweg 8", "Hafenstraße 21")
ADAPTERS = 48


def seed() -> dict[str, Any]:
    """An installer, an operator, two sites, adapters in stock and their printed labels."""
    from provisioning.accounts.actors import System
    from provisioning.accounts.models import Role
    from provisioning.accounts.services import add_member, create_organisation
    from provisioning.fleet import services as fleet
    from provisioning.fleet.models import Concentrator
    from provisioning.labels.render import label_svg
    from provisioning.labels.services import print_labels

    stage = System("installers' stage")
    organisation = create_organisation(stage, "Kellerwerke", "kellerwerke")
    for email, role in ((EMAIL, Role.INSTALLER), (OPERATOR, Role.OPERATOR)):
        user = add_member(stage, organisation, email, role).user
        user.password = hashed()
        user.first_name, user.last_name = ("Ines", "Keller") if role == Role.INSTALLER else ("Otto", "Werk")
        user.save()
    sites = [fleet.create_site(stage, organisation, name=name, street=name, city="Berlin") for name in SITES]
    made = fleet.register_concentrator(
        stage, organisation, eui="00800000a0fe0001", name="Attic", site=sites[0], public_key="ab" * 32
    )
    Concentrator.objects.filter(pk=made.concentrator.pk).update(online=True)
    adapters = [
        fleet.create_adapter(stage, organisation, dev_eui=f"70b3d57ed2{n:06x}", join_eui="70b3d57ed0000001", site=None)
        for n in range(1, ADAPTERS + 1)
    ]
    labels = print_labels(stage, organisation, adapters)
    return {
        "organisation": organisation.name,
        "sites": [site.pk for site in sites],
        "labels": [{"dev_eui": one.dev_eui.upper(), "text": one.text, "svg": label_svg(one)} for one in labels],
    }


def reach(dev_eui: str, outcome: str, value: str = "") -> dict[str, Any]:
    """All steps up to the meter's identity with `outcome` ("joined": no further), and a first reading when given."""
    from django.utils import timezone

    from meterwire.ids import MeterId
    from provisioning.pairing.models import Pairing
    from provisioning.pairing.services import found_identity, record_step

    pairing = Pairing.objects.select_related("adapter", "meter").get(adapter__dev_eui=dev_eui.lower(), to_at=None)
    start, now = pairing.from_at, timezone.now()
    record_step(pairing.pk, "informed", start + timedelta(seconds=1))
    record_step(pairing.pk, "joined", start + timedelta(seconds=6), {"rssi": -87.0, "snr": 7.5})
    if outcome != "joined":
        record_step(pairing.pk, "configured", start + timedelta(seconds=9))
        octets = {"match": pairing.meter.meter_id, "mismatch": str(MeterId("1", "ESY", 17, 4711)), "unreadable": ""}
        proof: Any = "sealed" if outcome == "match" else "report"
        read = MeterId.parse(octets[outcome]).server_id() if octets[outcome] else b""
        found_identity(pairing, outcome, read, start + timedelta(seconds=11), proof)
    if value:
        detail = {"obis": "1-0:1.8.0", "value": value, "unit": "Wh", "measured_at": now.isoformat()}
        record_step(pairing.pk, "reading", start + timedelta(seconds=14), detail)
    _publish(pairing.organisation_id, [{"kind": "pairing", "adapter": pairing.adapter_id}])
    return {"pairing": pairing.pk}


def count(dev_eui: str) -> dict[str, Any]:
    """How many pairings the adapter ever had, and how often its label was claimed."""
    from provisioning.pairing.models import Claim, Pairing

    pairings = Pairing.objects.filter(adapter__dev_eui=dev_eui.lower())
    return {"pairings": pairings.count(), "claims": Claim.objects.filter(pairing__in=pairings).count()}


def _publish(organisation: int, changes: list[dict[str, Any]]) -> None:
    import redis
    from django.conf import settings

    redis.from_url(settings.REDIS_URL).publish(f"mspan:org:{organisation}", json.dumps(changes))
