"""A person of a warehouse, and the worker that imports what was released."""

from typing import Any

from tests.browser.stage import hashed

EMAIL = "warehouse@lindenhof.example"


def seed() -> dict[str, Any]:
    """An operator who may import; in an organisation of its own, so that nothing of it shows in other tests' lists."""
    from provisioning.accounts.actors import System
    from provisioning.accounts.services import add_member, create_organisation

    organisation = create_organisation(System("stage"), "Zentrallager", "zentrallager")
    user = add_member(System("stage"), organisation, EMAIL, "operator").user
    user.password = hashed()
    user.save()
    return {}


def work() -> dict[str, Any]:
    """The worker imports every batch that was released."""
    from provisioning.batches import tasks
    from provisioning.batches.models import Batch

    for batch in Batch.objects.filter(state="importing"):
        tasks.import_batch(batch.pk)
    return {}
