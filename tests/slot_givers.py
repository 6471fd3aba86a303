"""For tests of slots: every concentrator that is made gives slots to what is paired under it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.models.signals import post_save

from provisioning.fleet.models import Concentrator
from provisioning.slots.models import SlotPlan


@contextmanager
def pairings_get_slots() -> Iterator[None]:
    """Inside, a new concentrator has the usual plan with `by_pairing`."""

    def give(instance: Concentrator, created: bool, **_: Any) -> None:
        if created:
            SlotPlan.objects.create(concentrator=instance, by_pairing=True)

    post_save.connect(give, sender=Concentrator, weak=False)
    try:
        yield
    finally:
        post_save.disconnect(give, sender=Concentrator)
