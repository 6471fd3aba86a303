"""The keys with which adapters and meters sign, and what is known of each signed day."""

from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from meterwire.meter_signature import MeterCurve
from provisioning.accounts.models import Organisation
from provisioning.fleet.models import Adapter, Meter


class SigningKey(models.Model):
    """A key that an adapter announced, authenticated by the key-transport key of version `transport_version`.

    `public` is hex, as meterwire.curves writes it. The newest row signs.
    """

    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="+")
    adapter = models.ForeignKey(Adapter, models.PROTECT, related_name="signing_keys")
    seq = models.PositiveIntegerField()
    public = models.CharField(max_length=66)
    transport_version = models.PositiveIntegerField()
    announced_at = models.DateTimeField()

    class Meta:
        ordering = ["adapter_id", "-id"]
        constraints = [models.UniqueConstraint(fields=["adapter", "public"], name="signing_key_once")]

    def __str__(self) -> str:
        return f"signing key {self.seq} of {self.adapter_id}"


class MeterKey(models.Model):
    """The public key with which a meter signs by itself, hex, as somebody has read it from the meter."""

    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="+")
    meter = models.ForeignKey(Meter, models.PROTECT, related_name="keys")
    curve = models.CharField(max_length=16, choices=[(curve.value, curve.value) for curve in MeterCurve])
    public = models.CharField(max_length=128)
    added_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["meter", "public"], name="meter_key_once")]

    def __str__(self) -> str:
        return f"key of meter {self.meter_id}"


class RestingLeaf(models.Model):
    """The leaf hash of a telegram that is not stored as it was sent, until its day is proven."""

    adapter = models.ForeignKey(Adapter, models.CASCADE, related_name="+")
    counter = models.BigIntegerField()
    digest = models.BinaryField(max_length=32)
    received_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["adapter", "counter"], name="resting_leaf_once")]

    def __str__(self) -> str:
        return f"{self.adapter_id} {self.counter}"


class DayState(models.TextChoices):
    """What the portal can say of a day."""

    WAITING = "waiting", _("Being checked")
    SIGNED = "signed", _("Signed")
    PARTIAL = "partial", _("Signed, telegrams missing")  # their hashes are known, their content is not
    UNVERIFIED = "unverified", _("Not verifiable")  # not even the hashes of some telegrams are known
    WRONG = "wrong", _("Signature wrong")
    UNSIGNED = "unsigned", _("Unsigned")


VERIFIED = frozenset({DayState.SIGNED, DayState.PARTIAL})


class SignedDay(models.Model):
    """One UTC day of one adapter.

    `r` and `s` are the halves of the signature over what `leaves`, `first_counter`, `last_counter` and the telegrams
    say; `runs` [[first, length]] which counters were used where that is not all of them; `digests` the leaf hashes
    that the adapter sent by counter, for want of the telegram. Once the signature fits, `hashes` keeps every leaf hash
    in order: telegrams are deleted one day, and re-sealed, the proof stays. `missing` counts telegrams without content,
    `uncovered` accepted telegrams that no signature covers. `next_at`: when to look again.
    """

    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="+")
    adapter = models.ForeignKey(Adapter, models.PROTECT, related_name="signed_days")
    day = models.DateField()
    state = models.CharField(max_length=10, choices=DayState.choices, default=DayState.WAITING)
    leaves = models.PositiveIntegerField(null=True)
    first_counter = models.BigIntegerField(null=True)
    last_counter = models.BigIntegerField(null=True)
    r = models.BinaryField(max_length=32, null=True)
    s = models.BinaryField(max_length=32, null=True)
    signing_key = models.ForeignKey(SigningKey, models.PROTECT, null=True, related_name="+")
    runs: Any = models.JSONField(default=list)
    digests: Any = models.JSONField(default=dict)
    hashes = models.BinaryField(default=b"")
    missing = models.PositiveIntegerField(default=0)
    uncovered = models.PositiveIntegerField(default=0)
    asked = models.PositiveSmallIntegerField(default=0)  # requests since something new came
    asked_at = models.DateTimeField(null=True)
    next_at = models.DateTimeField(null=True)
    verified_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["adapter", "day"], name="signed_day_once"),
            models.CheckConstraint(condition=Q(state__in=DayState.values), name="signed_day_state_known"),
            models.CheckConstraint(
                condition=~Q(state__in=["signed", "partial"]) | Q(signing_key__isnull=False, verified_at__isnull=False),
                name="verified_day_names_its_key",
            ),
        ]
        indexes = [
            # The bridge's "what is to be looked at now".
            models.Index(fields=["next_at"], condition=Q(next_at__isnull=False), name="signed_day_next"),
            # The organisation's figures.
            models.Index(fields=["organisation", "day", "state"], name="signed_day_state"),
        ]

    def __str__(self) -> str:
        return f"{self.day} of {self.adapter_id} ({self.state})"
