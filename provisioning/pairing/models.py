"""Which input of which adapter reads which metering point, from when to when."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from provisioning.accounts.models import Organisation, User
from provisioning.fleet.models import Adapter, Meter, MeteringPoint

ALL_REGISTERS = "all"
MAX_WRONG = 5  # wrong owner tokens of one person, then that person is blocked


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
    # What the meter calls itself as the adapter read it (SML server id or D0 identification), hex; empty: not told.
    identity_read = models.CharField(max_length=40, blank=True)
    identity_at = models.DateTimeField(null=True, blank=True)
    claimed_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    scanned_at = models.DateTimeField(null=True, blank=True)  # by the phone's clock; it may have been offline since
    note = models.CharField(max_length=200, blank=True)  # floor, flat, where to look
    display_value = models.DecimalField(
        max_digits=14, decimal_places=3, null=True, blank=True
    )  # typed from the display
    display_unit = models.CharField(max_length=8, blank=True)
    photo = models.CharField(max_length=100, blank=True)  # name in the photo store
    # The meter's reading in kWh when it came and when it left, where somebody noted them.
    first_value = models.DecimalField(max_digits=14, decimal_places=3, null=True, blank=True)
    last_value = models.DecimalField(max_digits=14, decimal_places=3, null=True, blank=True)
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
        indexes = [
            models.Index(fields=["adapter", "input", "from_at"], name="pairing_at_moment"),
            # Serves the bridge's sweep over what is still on its way.
            models.Index(fields=["id"], condition=Q(state="pending"), name="pairing_pending"),
        ]

    def __str__(self) -> str:
        return f"{self.adapter_id}/{self.input} at {self.metering_point_id}"


class PairingStep(models.Model):
    """A station on the way of a pairing, written once with its time; `detail` is small and flat (design 4, Pairing)."""

    class Step(models.TextChoices):
        CLAIMED = "claimed", _("Claimed")
        PAIRED = "paired", _("Paired")
        INFORMED = "informed", _("Concentrator informed")
        JOINED = "joined", _("Adapter joined")
        CONFIGURED = "configured", _("Configured")
        IDENTITY = "identity", _("Meter's own identity read")
        READING = "reading", _("First reading arrived")

    pairing = models.ForeignKey(Pairing, on_delete=models.CASCADE, related_name="steps")
    step = models.CharField(max_length=10, choices=Step.choices)
    at = models.DateTimeField()
    detail = models.JSONField(default=dict)

    class Meta:
        ordering = ["at", "id"]
        constraints = [models.UniqueConstraint(fields=["pairing", "step"], name="pairing_step_once")]

    def __str__(self) -> str:
        return f"{self.step} of {self.pairing_id}"


class Configuration(models.Model):
    """What an adapter should run (port 33) and what it last reported; converges like a device table.

    `version` is 1 to 65535 and rises when `records` (the encoded records, hex, without header) change; 0: nothing is
    wanted yet. `running` is the version in the adapter's last report, None before the first; `reported` holds that
    report: {"firmware": text, "dev_eui": hex, "identities": {input: {"kind": int, "octets": hex}}, "resolutions":
    {register number: exponent}, "counter": int, "refusal": text}. The firmware `unknown_for` refused the record of type
    `unknown_from`; records of slots from that type on are left out until another firmware is reported. `stale`: its
    records are to be put together anew.
    """

    adapter = models.OneToOneField(Adapter, on_delete=models.CASCADE, primary_key=True, related_name="configuration")
    version = models.PositiveIntegerField(default=0)
    records = models.TextField(blank=True)
    # Set by an operator: None and empty leave the adapter's own. `registers` is JSON, {"input": [index, ...]}.
    period_s = models.PositiveIntegerField(null=True, blank=True)
    registers = models.TextField(blank=True)
    changed_at = models.DateTimeField(default=timezone.now)
    running = models.PositiveIntegerField(null=True, blank=True)
    reported = models.JSONField(default=dict)
    reported_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)  # when the bridge last handed it to a concentrator
    unknown_from = models.PositiveSmallIntegerField(null=True, blank=True)
    unknown_for = models.CharField(max_length=40, blank=True)
    stale = models.BooleanField(default=False)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(version__lte=65535), name="configuration_version_16_bits")]
        # Serves the bridge's question which adapters do not run what is wanted.
        indexes = [
            models.Index(
                fields=["sent_at", "adapter"],
                condition=Q(running=None) | ~Q(running=models.F("version")),
                name="configuration_behind",
            ),
            models.Index(fields=["adapter"], condition=Q(stale=True), name="configuration_stale"),
        ]

    def __str__(self) -> str:
        return f"{self.adapter_id} wants {self.version}, runs {self.running}"

    def knows(self, record_type: int) -> bool:
        """Whether the adapter's firmware takes this record of slots: who refuses one does not know the later ones."""
        return self.unknown_from is None or record_type < self.unknown_from


class Claim(models.Model):
    """One pairing request by its idempotency key, with the answer that a repetition gets again."""

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=80)
    digest = models.CharField(max_length=64)  # of the request; another one under the same key is refused
    status = models.PositiveSmallIntegerField()
    answer = models.JSONField()
    pairing = models.ForeignKey(Pairing, null=True, on_delete=models.SET_NULL, related_name="claims")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organisation", "user", "key"], name="claim_key_once")]
        # Serves "my installations today" and the deletion of old answers.
        indexes = [models.Index(fields=["organisation", "user", "created_at"], name="claim_by_user")]

    def __str__(self) -> str:
        return f"{self.key} {self.status}"


class WrongClaim(models.Model):
    """An attempt with a wrong owner token. Five of one person since the last `cleared` one block that person."""

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    dev_eui = models.CharField(max_length=16)
    at = models.DateTimeField(default=timezone.now)
    cleared_at = models.DateTimeField(null=True, blank=True)
    cleared_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        # Serves the count of each attempt and the operator's list of blocked people.
        indexes = [
            models.Index(fields=["organisation", "user"], condition=Q(cleared_at=None), name="wrong_claims_open")
        ]

    def __str__(self) -> str:
        return f"{self.dev_eui} by {self.user_id}"
