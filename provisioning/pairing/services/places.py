"""Where a paired adapter belongs: at its metering point's site, under the concentrator there; released afterwards."""

from provisioning.accounts.actors import Actor
from provisioning.fleet.models import Adapter, Site
from provisioning.fleet.queries import Heard, pick_concentrator
from provisioning.fleet.services.adapters import place
from provisioning.pairing.models import Pairing


def settle(actor: Actor, adapter: Adapter, site: Site, heard: Heard | None = None) -> None:
    """Put `adapter` at `site` and under a concentrator there, where there is one."""
    place(actor, adapter, site, pick_concentrator(site, adapter, heard))


def release(actor: Actor, adapter: Adapter) -> None:
    """Back into stock when no input of it is paired any more; its concentrator forgets it."""
    if not Pairing.objects.filter(adapter=adapter, to_at=None).exists():
        place(actor, adapter, None, None)
