"""Campaigns that replace keys over the air, and the delivery to each adapter in them."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from provisioning.accounts.models import Organisation, User
from provisioning.fleet.models import Adapter, Concentrator, Site
from provisioning.keys.models import DeviceKey, Purpose


class Method(models.TextChoices):
    DELIVERY = "delivery", _("Made here and delivered wrapped")
    EXCHANGE = "exchange", _("Agreed with the partner (ECDH)")


class Partner(models.TextChoices):
    """Who shares the new key with the adapter."""

    PORTAL = "portal", _("Portal")
    CONCENTRATOR = "concentrator", _("Concentrator")


class Plan(models.Model):
    """What a campaign and a standing schedule both say: which keys, how, and when it may happen.

    Its scope is `adapter`, else `site`, else the whole organisation; with an adapter, `site` is where it was then.
    The window is in the organisation's or site's local time; `window_from` None: at any hour. It may run over midnight.
    """

    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="%(class)ss")
    site = models.ForeignKey(Site, null=True, blank=True, on_delete=models.PROTECT, related_name="%(class)ss")
    adapter = models.ForeignKey(Adapter, null=True, blank=True, on_delete=models.PROTECT, related_name="%(class)ss")
    purpose = models.CharField(max_length=13, choices=Purpose.choices, default=Purpose.INNER)
    method = models.CharField(max_length=8, choices=Method.choices, default=Method.DELIVERY)
    partner = models.CharField(max_length=12, choices=Partner.choices, default=Partner.PORTAL)
    curve = models.CharField(max_length=16, default="x25519")  # of an exchange; a name of meterwire.curves
    window_from = models.TimeField(null=True, blank=True)
    window_to = models.TimeField(null=True, blank=True)
    per_hour = models.PositiveIntegerField(default=60)  # deliveries begun in an hour: the downlink budget
    validity_days = models.PositiveIntegerField(null=True, blank=True)  # of the new keys; None: no end
    grace_hours = models.PositiveIntegerField(default=72)  # so long the old keys open late telegrams
    created_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        abstract = True


class Schedule(Plan):
    """Makes a campaign every `period_days`, at the earliest at `next_at`."""

    period_days = models.PositiveIntegerField()
    next_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta(Plan.Meta):
        ordering = ["next_at", "id"]
        constraints = [models.CheckConstraint(condition=Q(period_days__gte=1), name="schedule_period")]

    def __str__(self) -> str:
        return f"{self.purpose} keys every {self.period_days} days"


class Campaign(Plan):
    """One run: as many deliveries as there were adapters in its scope when it was planned."""

    class State(models.TextChoices):
        RUNNING = "running", _("Running")
        PAUSED = "paused", _("Paused")
        DONE = "done", _("Done")
        CANCELLED = "cancelled", _("Cancelled")

    schedule = models.ForeignKey(Schedule, null=True, blank=True, on_delete=models.PROTECT, related_name="campaigns")
    state = models.CharField(max_length=9, choices=State.choices, default=State.RUNNING)
    reason = models.CharField(max_length=200, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta(Plan.Meta):
        ordering = ["-created_at", "-id"]
        indexes = [models.Index(fields=["state"], condition=Q(state="running"), name="campaign_running")]

    def __str__(self) -> str:
        return f"campaign {self.pk} ({self.state})"


class Delivery(models.Model):
    """One key on its way to one adapter over port 34.

    `seq` is what the adapter sees (meterwire.key_messages), rising per adapter and partner, kept over retries of the
    same key. `private` is the sealed ephemeral key of an exchange, gone as soon as the exchange is over.
    """

    class State(models.TextChoices):
        PLANNED = "planned", _("Planned")
        DELIVERING = "delivering", _("Being delivered")
        CONFIRMED = "confirmed", _("Confirmed by the adapter")
        ACTIVE = "active", _("In use")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="deliveries")
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, db_index=False, related_name="+")
    adapter = models.ForeignKey(Adapter, on_delete=models.PROTECT, related_name="deliveries")
    concentrator = models.ForeignKey(Concentrator, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    key = models.ForeignKey(DeviceKey, null=True, blank=True, on_delete=models.PROTECT, related_name="deliveries")
    state = models.CharField(max_length=10, choices=State.choices, default=State.PLANNED)
    due_at = models.DateTimeField(default=timezone.now)  # not begun, or not tried again, before
    seq = models.PositiveIntegerField(null=True, blank=True)
    slot = models.PositiveSmallIntegerField(null=True, blank=True)  # of an exchange whose key is not agreed yet
    tag_length = models.PositiveSmallIntegerField(default=4)
    begun_at = models.DateTimeField(null=True, blank=True)  # counts against the downlink budget of the hour after it
    attempts = models.PositiveSmallIntegerField(default=0)
    sent_at = models.DateTimeField(null=True, blank=True)
    private = models.BinaryField(max_length=300, default=b"", blank=True)
    public = models.CharField(max_length=66, blank=True)  # ours of an exchange, hex
    code = models.CharField(max_length=40, blank=True)  # why it failed or is not moving
    message = models.CharField(max_length=300, blank=True)
    state_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["campaign_id", "id"]
        constraints = [
            # One key at a time is under way to an adapter.
            models.UniqueConstraint(
                fields=["adapter"], condition=Q(state__in=["delivering", "confirmed"]), name="one_delivery_under_way"
            ),
            # Keys that are there already, such as those of several meters, have a delivery each.
            models.UniqueConstraint(
                fields=["campaign", "adapter"], condition=Q(key=None), name="adapter_once_per_campaign"
            ),
            models.UniqueConstraint(fields=["campaign", "key"], name="key_once_per_campaign"),
            models.CheckConstraint(
                condition=Q(private=b"") | Q(state="delivering"), name="ephemeral_key_only_while_delivering"
            ),
        ]
        indexes = [
            # Serves "what may begin or be tried again now".
            models.Index(
                fields=["due_at"], condition=Q(state__in=["planned", "delivering", "confirmed"]), name="delivery_due"
            ),
            models.Index(fields=["campaign", "state"], name="delivery_campaign_state"),
            # Serves the budgets: what was begun in the last hour.
            models.Index(fields=["organisation", "begun_at"], name="delivery_begun"),
        ]

    @property
    def partner(self) -> str:
        """Who shares the key: "portal", or the EUI of the concentrator that served when it was begun."""
        if self.campaign.partner == Partner.PORTAL or self.concentrator is None:
            return str(Partner.PORTAL)
        return self.concentrator.eui

    def __str__(self) -> str:
        return f"delivery {self.pk} to {self.adapter_id} ({self.state})"


class Sequence(models.Model):
    """The last sequence number that was given out on port 34 between an adapter and a partner; never set back."""

    adapter = models.ForeignKey(Adapter, on_delete=models.PROTECT, db_index=False, related_name="+")
    partner = models.CharField(max_length=40)
    last = models.PositiveIntegerField(default=0)
    transport_version = models.PositiveIntegerField(default=0)  # numbers begin anew with another key-transport key

    class Meta:
        constraints = [models.UniqueConstraint(fields=["adapter", "partner"], name="one_sequence_per_partner")]

    def __str__(self) -> str:
        return f"{self.adapter_id} with {self.partner} at {self.last}"


class Notice(models.Model):
    """What an adapter is told about a key it holds: that we heard it in use, or that it shall forget it.

    `seq` as in Delivery; it is set when the notice is first sent, and every repetition is the same message.
    """

    class Kind(models.TextChoices):
        PROOF = "proof", _("Proof of use")
        REVOKE = "revoke", _("Revocation")

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        SENDING = "sending", _("Being sent")
        DONE = "done", _("Answered")
        FAILED = "failed", _("Failed")

    adapter = models.ForeignKey(Adapter, on_delete=models.PROTECT, db_index=False, related_name="+")
    key = models.ForeignKey(DeviceKey, on_delete=models.PROTECT, related_name="notices")
    kind = models.CharField(max_length=6, choices=Kind.choices)
    state = models.CharField(max_length=7, choices=State.choices, default=State.WAITING)
    seq = models.PositiveIntegerField(null=True, blank=True)
    due_at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveSmallIntegerField(default=0)
    sent_at = models.DateTimeField(null=True, blank=True)
    code = models.CharField(max_length=40, blank=True)  # why it failed
    state_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["key", "kind"], condition=Q(state__in=["waiting", "sending"]), name="notice_once_at_a_time"
            ),
            models.UniqueConstraint(fields=["adapter"], condition=Q(state="sending"), name="one_notice_under_way"),
        ]
        # Serves "what is to be told now".
        indexes = [models.Index(fields=["due_at"], condition=Q(state__in=["waiting", "sending"]), name="notice_due")]

    def __str__(self) -> str:
        return f"{self.kind} of key {self.key_id} ({self.state})"


class LmnHandover(models.Model):
    """LMN keys on their way to the administrator of a smart-meter gateway, wrapped for `public_key` [0028].

    `content` is the file: meters, adapter addresses and keys that only the recipient can open. The keys are delivered
    to their adapters once the recipient has acknowledged it.
    """

    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="lmn_handovers")
    recipient = models.CharField(max_length=120)
    public_key = models.TextField(max_length=8000)  # PEM: public key or certificate
    fingerprint = models.CharField(max_length=95)  # SHA-256 of the public key, in pairs
    keys = models.ManyToManyField(DeviceKey, related_name="lmn_handovers")
    reason = models.CharField(max_length=200)
    created_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    content = models.TextField(blank=True)
    made_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    campaign = models.ForeignKey(Campaign, null=True, blank=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(acknowledged_at=None) | Q(made_at__isnull=False), name="only_a_made_file_is_acknowledged"
            )
        ]

    def __str__(self) -> str:
        return f"hand-over {self.pk} to {self.recipient}"
