"""Which input of which adapter reads which metering point, from when to when."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from provisioning.accounts.models import Organisation
from provisioning.fleet.models import Adapter, Meter, MeteringPoint

ALL_REGISTERS = "all"


class Pairing(models.Model):
    """Binds (adapter, input) to a metering point from `from_at` to `to_at` (null: open).

    `register_group` lets two adapters share a metering point when each reads other registers; `all` is everything.
    """

    class State(models.TextChoices):
        PENDING = "pending", _("Pending")
        CONFIRMED = "confirmed", _("Confirmed")
        ENDED = "ended", _("Ended")

    class Identity(models.TextChoices):
        """What the adapter found out about the meter it reads, compared with the meter that was meant."""

        UNKNOWN = "unknown", _("Not read yet")
        MATCH = "match", _("Match")
        MISMATCH = "mismatch", _("Mismatch")
        UNREADABLE = "unreadable", _("Not readable")

    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="pairings")
    adapter = models.ForeignKey(Adapter, on_delete=models.PROTECT, related_name="pairings")
    input = models.PositiveSmallIntegerField(default=0)
    metering_point = models.ForeignKey(MeteringPoint, on_delete=models.PROTECT, related_name="pairings")
    meter = models.ForeignKey(Meter, null=True, blank=True, on_delete=models.PROTECT, related_name="pairings")
    register_group = models.CharField(max_length=20, default=ALL_REGISTERS)
    state = models.CharField(max_length=9, choices=State.choices, default=State.PENDING)
    identity = models.CharField(max_length=10, choices=Identity.choices, default=Identity.UNKNOWN)
    reason = models.CharField(max_length=200, blank=True)
    from_at = models.DateTimeField(default=timezone.now)
    to_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-from_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["adapter", "input"], condition=Q(to_at=None), name="one_open_pairing_per_input"
            ),
            models.UniqueConstraint(
                fields=["metering_point", "register_group"],
                condition=Q(to_at=None),
                name="one_open_pairing_per_metering_point",
            ),
            models.CheckConstraint(
                condition=(Q(state="ended", to_at__isnull=False) | (~Q(state="ended") & Q(to_at=None))),
                name="pairing_ended_has_end",
            ),
            models.CheckConstraint(
                condition=Q(to_at=None) | Q(to_at__gte=models.F("from_at")), name="pairing_ends_after_start"
            ),
            models.CheckConstraint(condition=Q(input__lte=7), name="pairing_input_range"),
        ]
        # Serves the pipeline: which pairing held for (adapter, input) at a moment.
        indexes = [models.Index(fields=["adapter", "input", "from_at"], name="pairing_at_moment")]

    def __str__(self) -> str:
        return f"{self.adapter_id}/{self.input} at {self.metering_point_id}"
