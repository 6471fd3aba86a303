"""Measures how long it takes to plan the rotation of 10,000 adapters' keys on PostgreSQL.

`rotation_plan_10k_s`: from the call of the service to its commit, with every delivery planned and the audit written.
`rotation_turn_ms`: finding whose turn it is among them, which the bridge does every few seconds.
"""

import time
from typing import Any

from benchmarks.stand import portal
from benchmarks.support import arguments, report

ADAPTERS = 10_000
PER_CONCENTRATOR = 100


def main() -> None:
    options = arguments(__doc__)
    with portal():
        figures = rotation_plan()
    report(figures, options.json)


def rotation_plan() -> dict[str, float]:
    """The figures; call it inside `benchmarks.stand.portal()`."""
    from django.utils import timezone

    from provisioning.accounts.actors import System
    from provisioning.campaigns.services import due, plan

    actor = System("benchmark")
    organisation = _fleet(actor)
    began = time.perf_counter()
    campaign = plan(actor, organisation, per_hour=600, reason="yearly")
    planned_s = time.perf_counter() - began
    planned = campaign.deliveries.filter(state="planned").count()
    if planned != ADAPTERS:
        raise RuntimeError(f"{planned} deliveries were planned instead of {ADAPTERS}")
    began = time.perf_counter()
    due(timezone.now(), 50)
    return {"rotation_plan_10k_s": planned_s, "rotation_turn_ms": (time.perf_counter() - began) * 1000}


def _fleet(actor: Any) -> Any:
    """Adapters in service: 100 per site and concentrator, each with root, inner and key-transport keys."""
    from provisioning.accounts.services import create_organisation
    from provisioning.fleet.models import Adapter, Concentrator, Site
    from provisioning.keys.models import DeviceKey, KeyState

    organisation = create_organisation(actor, "Rotation", slug="rotation")
    count = ADAPTERS // PER_CONCENTRATOR
    sites = Site.objects.bulk_create(Site(organisation=organisation, name=f"Site {n}") for n in range(count))
    concentrators = Concentrator.objects.bulk_create(
        Concentrator(organisation=organisation, site=site, eui=f"00800000a1{n:06x}", name=f"Cellar {n}", online=True)
        for n, site in enumerate(sites)
    )
    adapters = Adapter.objects.bulk_create(
        Adapter(
            organisation=organisation,
            site=sites[n % count],
            concentrator=concentrators[n % count],
            dev_eui=f"70b3d57ed3{n:06x}",
            join_eui="70b3d57ed0000001",
        )
        for n in range(ADAPTERS)
    )
    DeviceKey.objects.bulk_create(
        (
            DeviceKey(
                organisation=organisation,
                adapter=adapter,
                purpose=purpose,
                slot=0 if purpose == "inner" else None,
                state=KeyState.ACTIVE,
                sealed=b"not opened here",
                check_value="000000",
            )
            for adapter in adapters
            for purpose in ("root", "inner", "transport")
        ),
        batch_size=2000,
    )
    return organisation


if __name__ == "__main__":
    main()
