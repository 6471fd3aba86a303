"""What else ends when a concentrator is revoked or archived, or an adapter revoked; apps above the fleet add theirs."""

from collections.abc import Callable

from provisioning.accounts.actors import Actor
from provisioning.fleet.models import Adapter, Concentrator

Ending = Callable[[Actor, Concentrator, str], object]
AdapterEnding = Callable[[Actor, Adapter, str], object]
_endings: list[Ending] = []
_adapter_endings: list[AdapterEnding] = []


def add(ending: Ending) -> None:
    """`ending` is called with who did it, the concentrator and the reason, inside the transaction of the change."""
    if ending not in _endings:
        _endings.append(ending)


def run(actor: Actor, concentrator: Concentrator, reason: str) -> None:
    """Call all of them; whoever does so has checked the permission."""
    for ending in _endings:
        ending(actor, concentrator, reason)


def add_for_adapters(ending: AdapterEnding) -> None:
    """The same for adapters."""
    if ending not in _adapter_endings:
        _adapter_endings.append(ending)


def run_for_adapter(actor: Actor, adapter: Adapter, reason: str) -> None:
    """The same for an adapter."""
    for ending in _adapter_endings:
        ending(actor, adapter, reason)
