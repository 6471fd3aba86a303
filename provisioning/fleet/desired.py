"""The desired revision of a concentrator's device table: every change raises it and is logged for deltas."""

from collections.abc import Iterable

from django.db.models import F

from provisioning.fleet.models import Adapter, Concentrator, DeviceChange

KEPT_REVISIONS = 2000  # a concentrator further behind gets the whole table
_TRIM_EVERY = 100


def devices_changed(concentrator_id: int | None, dev_euis: Iterable[str]) -> None:
    """Raise the revision once because these devices were added, changed, removed or re-keyed. None: nobody to tell.

    Runs in the caller's transaction; the row lock keeps revisions in the order of their commits.
    """
    if concentrator_id is None:
        return
    revision = _raise(concentrator_id)
    DeviceChange.objects.bulk_create(
        [
            DeviceChange(concentrator_id=concentrator_id, revision=revision, dev_eui=dev_eui)
            for dev_eui in sorted(set(dev_euis))
        ],
        batch_size=1000,
    )
    if revision % _TRIM_EVERY == 0:
        _trim(concentrator_id, revision - KEPT_REVISIONS)


def adapter_changed(adapter: Adapter) -> None:
    """The same for one adapter at the concentrator that serves it."""
    devices_changed(adapter.concentrator_id, [adapter.dev_eui])


def everything_changed(concentrator_id: int) -> None:
    """Raise the revision so that the whole table is sent again, as after the approval of a new key."""
    revision = _raise(concentrator_id)
    Concentrator.objects.filter(pk=concentrator_id).update(whole_since=revision)
    DeviceChange.objects.filter(concentrator_id=concentrator_id).delete()


def everything_changed_everywhere(ahead: int) -> None:
    """The same for all concentrators, `ahead` revisions further, as after a backup was restored: what they run now may
    be newer than what the database knows."""
    further = F("desired_revision") + ahead
    Concentrator.objects.update(desired_revision=further, whole_since=further)
    DeviceChange.objects.all().delete()


def _raise(concentrator_id: int) -> int:
    row = Concentrator.objects.filter(pk=concentrator_id)
    row.update(desired_revision=F("desired_revision") + 1)
    return row.values_list("desired_revision", flat=True).get()


def _trim(concentrator_id: int, below: int) -> None:
    if below > 0:
        DeviceChange.objects.filter(concentrator_id=concentrator_id, revision__lte=below).delete()
        Concentrator.objects.filter(pk=concentrator_id, whole_since__lt=below).update(whole_since=below)
