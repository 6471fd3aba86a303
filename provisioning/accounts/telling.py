"""What concerns a person is told in the audit of every organisation that the person belongs to."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from django.db import transaction

from provisioning.accounts.actors import Actor
from provisioning.accounts.models import Organisation, User
from provisioning.audit.services import audited, record


@contextmanager
def told(actor: Actor, user: User, action: str, data: Mapping[str, Any]) -> Iterator[None]:
    """A transaction with an audit row in every organisation of `user`, locked in one order."""
    with ExitStack() as stack:
        organisations = list(Organisation.objects.filter(memberships__user_id=user.pk).order_by("pk"))
        stack.enter_context(transaction.atomic())
        for organisation in organisations:
            stack.enter_context(audited(organisation))
        yield
        for organisation in organisations:
            record(organisation, actor, action, user, data)
