"""What others may want to know of slots."""

from typing import Final

from django.dispatch import Signal

# Sent by SlotPlan inside the transaction of a change that adapters have to be told (beacon, reserve, previous value):
# `plan` as it is now, `actor`. Whoever keeps their configurations renews them.
plan_changed: Final = Signal()
