"""Reasons against archiving that apps above the fleet know of; they add theirs when they are loaded."""

from collections.abc import Callable

from django.db.models import Model

from provisioning.errors import Conflict

Guard = Callable[[Model], str]
_guards: list[Guard] = []


def add(guard: Guard) -> None:
    """`guard` answers for a row with the reason why it cannot be archived, or an empty text."""
    if guard not in _guards:
        _guards.append(guard)


def refuse_if_used(row: Model) -> None:
    """Raise Conflict with the first guard's reason."""
    for guard in _guards:
        if reason := guard(row):
            raise Conflict(reason)
