"""What else ends when a concentrator is revoked or archived; apps above the fleet add theirs when they are loaded."""

from collections.abc import Callable

from provisioning.accounts.actors import Actor
from provisioning.fleet.models import Concentrator

Ending = Callable[[Actor, Concentrator, str], object]
_endings: list[Ending] = []


def add(ending: Ending) -> None:
    """`ending` is called with who did it, the concentrator and the reason, inside the transaction of the change."""
    if ending not in _endings:
        _endings.append(ending)


def run(actor: Actor, concentrator: Concentrator, reason: str) -> None:
    """Call all of them; whoever does so has checked the permission."""
    for ending in _endings:
        ending(actor, concentrator, reason)
