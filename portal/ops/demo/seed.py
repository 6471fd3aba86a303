"""Puts the demo's building into the database, as an operator and a manufacturer would: through the services."""

import os
from collections.abc import Callable
from pathlib import Path

from django.db import transaction

from portal.ops.demo.house import CONCENTRATOR_EUI, JOIN_EUI, PERIOD_SECONDS, Flat, unpaired
from provisioning.accounts.actors import System
from provisioning.accounts.models import Organisation, Role
from provisioning.accounts.services import add_member, create_organisation
from provisioning.fleet.models import Adapter, Concentrator, MeteringPoint, Site
from provisioning.fleet.services import (
    create_adapter,
    create_metering_point,
    create_site,
    install_meter,
    register_concentrator,
)
from provisioning.keys.services import hand_over, issue_adapter_keys
from provisioning.keys.vault import Vault
from provisioning.labels.services import issue_token
from provisioning.pairing.services import pair, set_reporting
from provisioning.slots.services import set_plan

ACTOR = System("demo")
SLUG = "stadtwerke-muster"
# Twenty processes share one machine with whatever else runs there: an adapter that is woken a quarter of a second late
# still hits its slot. Real radios wake within a millisecond, and the usual guard is 60 ms.
GUARD_MS = 250
BEACON_PERIOD_S = 300
# Thousandths; over 100 there is open time every minute: who watches keys being replaced does not wait for five.
RESERVE = 200
PEOPLE = {
    "viewer": Role.VIEWER,
    "operator": Role.OPERATOR,
    "installer": Role.INSTALLER,
    "auditor": Role.AUDITOR,
    "custodian": Role.CUSTODIAN,
    "admin": Role.ADMINISTRATOR,
}


def seed(
    flats: list[Flat], agents: Path, password: str, public_key: Callable[[], str], paired: int | None = None,
    *, slots: bool = True,
) -> bool:  # fmt: skip
    """Make what is missing; False when the organisation was there already. Writes the broker password file.

    The adapters after the first `paired` (by default half of them) are in stock with a label, their meters hang in
    the building, and somebody has to pair them. Without `slots` pairing gives nobody a time slot, and how often
    an adapter sends stands in its own file alone.
    """
    if Organisation.objects.filter(slug=SLUG).exists():
        return False
    with transaction.atomic():
        organisation = create_organisation(ACTOR, "Stadtwerke Muster", SLUG)
        for name, role in PEOPLE.items():
            add_member(ACTOR, organisation, f"{name}@demo.example", role, password=password)
        site = create_site(
            ACTOR, organisation, name="Lindenweg 8", street="Lindenweg 8", postcode="66280", city="Sulzbach"
        )
        new = register_concentrator(
            ACTOR, organisation, eui=CONCENTRATOR_EUI, name="Lindenweg 8, cellar", site=site, public_key=public_key()
        )
        write_secret(agents / "concentrator.password", new.password.encode())
        set_plan(
            ACTOR, new.concentrator, quantum_ms=2, guard_ms=GUARD_MS, reserve=RESERVE, previous=True,
            by_pairing=slots, beacon_period_s=BEACON_PERIOD_S,
        )  # fmt: skip
        in_boxes = unpaired(flats, paired)
        for flat in flats:
            if flat in in_boxes:
                adapter = _boxed(organisation, site, flat)
            else:
                adapter = _hung_up(organisation, site, new.concentrator, flat)
            if slots:
                set_reporting(ACTOR, adapter, period_s=PERIOD_SECONDS)
            points = _points(site, flat)
            if flat not in in_boxes:
                for number, point in enumerate(points):
                    pair(ACTOR, adapter, point, input=number)
    return True


def hand_over_keys(flats: list[Flat], agents: Path) -> None:
    """A key file for each adapter that has neither one nor a sealed key store of its own."""
    vault = Vault.from_settings()
    for flat in flats:
        path = agents / f"{flat.name}.keys.json"
        if path.exists() or (agents / flat.name).exists():
            continue
        adapter = Adapter.objects.get(dev_eui=flat.dev_eui, archived_at=None)
        write_secret(path, hand_over(ACTOR, adapter, vault, "provisioning of the demo").content)


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, from its first moment on."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)


def _hung_up(organisation: Organisation, site: Site, concentrator: Concentrator, flat: Flat) -> Adapter:
    adapter = create_adapter(
        ACTOR,
        organisation,
        dev_eui=flat.dev_eui,
        join_eui=JOIN_EUI,
        site=site,
        concentrator=concentrator,
        serial=f"MS-{flat.name[-2:]}",
        location=flat.place,
    )
    issue_adapter_keys(ACTOR, adapter)
    return adapter


def _boxed(organisation: Organisation, site: Site, flat: Flat) -> Adapter:
    serial = f"MS-{flat.name[-2:]}"
    adapter = create_adapter(ACTOR, organisation, dev_eui=flat.dev_eui, join_eui=JOIN_EUI, serial=serial)
    issue_adapter_keys(ACTOR, adapter)
    issue_token(ACTOR, adapter)
    return adapter


def _points(site: Site, flat: Flat) -> list[MeteringPoint]:
    points = []
    for name, meter_id in flat.meters:
        point = create_metering_point(ACTOR, site, name=name.replace("-", " ").capitalize())
        install_meter(ACTOR, point, meter_id=meter_id)
        points.append(point)
    return points
