"""Appends to an organisation's audit chain, inside the transaction of the change that is recorded."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import connection, models, transaction
from django.utils import timezone

from provisioning.accounts.actors import Actor, name_of, user_of
from provisioning.accounts.models import Organisation
from provisioning.audit import chain
from provisioning.audit.models import Entry, Head


@contextmanager
def audited(organisation: Organisation) -> Iterator[None]:
    """A transaction in which nobody else writes to the same organisation's chain.

    Services take this lock before any other, so that composed services cannot block each other, and what they
    check of their organisation's rows still holds when they write.
    """
    with transaction.atomic():
        _lock(organisation.pk)
        yield


def record(
    organisation: Organisation,
    actor: Actor,
    action: str,
    subject: models.Model | None = None,
    data: Mapping[str, Any] | None = None,
) -> Entry:
    """Append one entry. Must run in the transaction of the change; never put a secret into `data`.

    `action` is noun.verb; `subject` the changed row. Raises TransactionManagementError outside a transaction and
    LimitExceeded when `data` is too large.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("record() belongs into the transaction of the recorded change")
    head = _lock(organisation.pk)
    user = user_of(actor)
    entry = Entry(
        organisation_id=organisation.pk,
        seq=head.seq + 1,
        at=timezone.now(),
        actor_id=None if user is None else user.pk,
        actor_name=name_of(actor)[:254],
        action=action,
        object_type="" if subject is None else str(subject._meta.model_name),
        object_id="" if subject is None else str(subject.pk),
        object_name="" if subject is None else str(subject)[:200],
        data=chain.plain(data or {}),
        key=chain.key_name(),
        prev=head.mac,
    )
    entry.mac = chain.mac(entry)
    entry.save(force_insert=True)
    Head.objects.filter(pk=head.pk).update(seq=entry.seq, mac=entry.mac)
    return entry


def _lock(organisation_id: int) -> Head:
    heads = Head.objects.select_for_update().filter(pk=organisation_id)
    head = heads.first()
    if head is None:
        Head.objects.bulk_create([Head(organisation_id=organisation_id)], ignore_conflicts=True)
        head = heads.get()
    return head
