"""Data keys per organisation and device keys, both only ever stored sealed."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from provisioning.accounts.models import Organisation
from provisioning.fleet.models import Adapter


class Purpose(models.TextChoices):
    """What a key is for (design 5.8).

    `nwk` and `app` are the session keys of a device activated by personalisation; `meter` opens what the meter at an
    input encrypted by itself, its partner is "input 0" to "input 7".
    """

    ROOT = "root", _("LoRaWAN root")
    TRANSPORT = "transport", _("Key transport")
    INNER = "inner", _("Inner encryption")
    LMN = "lmn", _("LMN")
    CONTROL_UP = "control_up", _("Control, up")
    CONTROL_DOWN = "control_down", _("Control, down")
    GROUP_CONTROL = "group_control", _("Group control")
    STORAGE = "storage", _("Storage")
    METER = "meter", _("The meter's own encryption")
    NWK = "nwk", _("LoRaWAN network session")
    APP = "app", _("LoRaWAN application session")


class KeyState(models.TextChoices):
    GENERATED = "generated", _("Generated")
    IMPORTED = "imported", _("Imported")
    DELIVERING = "delivering", _("Delivering")
    ACTIVE = "active", _("Active")
    RETIRING = "retiring", _("Retiring")
    REVOKED = "revoked", _("Revoked")
    DESTROYED = "destroyed", _("Destroyed")


SLOTTED = frozenset({Purpose.INNER, Purpose.LMN})  # named by a slot in every telegram
SERVING = frozenset({Purpose.ROOT, Purpose.NWK, Purpose.APP})  # the concentrator needs them to serve the device
OPENING = frozenset({KeyState.DELIVERING, KeyState.ACTIVE, KeyState.RETIRING})


class DataKey(models.Model):
    """An organisation's data key, wrapped by the key-encryption key `kek_id`; it seals device keys."""

    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="data_keys")
    version = models.PositiveIntegerField(default=1)
    kek_id = models.CharField(max_length=40)
    wrapped = models.BinaryField(max_length=200)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organisation", "version"], name="data_key_version_once")]

    def __str__(self) -> str:
        return f"data key {self.version} of {self.organisation_id}"


class DeviceKey(models.Model):
    """One 16-byte key of an adapter; `check_value` is AES-ECB(key, 16 zero bytes), first 3 bytes, as is customary."""

    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="device_keys")
    adapter = models.ForeignKey(Adapter, on_delete=models.PROTECT, related_name="keys")
    purpose = models.CharField(max_length=13, choices=Purpose.choices)
    partner = models.CharField(max_length=40, default="portal")
    slot = models.PositiveSmallIntegerField(null=True, blank=True)
    version = models.PositiveIntegerField(default=1)
    state = models.CharField(max_length=10, choices=KeyState.choices)
    tag_length = models.PositiveSmallIntegerField(default=4)
    sealed = models.BinaryField(max_length=200)
    intake = models.BooleanField(default=False)  # sealed by a process without the KEK; the bridge seals it anew
    check_value = models.CharField(max_length=6)
    not_before = models.DateTimeField(null=True, blank=True)
    not_after = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    state_at = models.DateTimeField(default=timezone.now)
    last_used_at = models.DateTimeField(null=True, blank=True)
    grace_until = models.DateTimeField(null=True, blank=True)  # RETIRING: late telegrams open until then
    forgotten_at = models.DateTimeField(null=True, blank=True)  # since then the adapter holds it no longer
    resealed_at = models.DateTimeField(null=True, blank=True)  # REVOKED: nothing stored needs it any more

    class Meta:
        ordering = ["adapter_id", "purpose", "partner", "-version"]
        constraints = [
            models.UniqueConstraint(
                fields=["adapter", "purpose", "partner"], condition=Q(state="active"), name="one_active_key"
            ),
            models.UniqueConstraint(
                fields=["adapter", "slot"],
                condition=Q(slot__isnull=False) & ~Q(state="destroyed"),
                name="slot_once_until_destroyed",
            ),
            models.UniqueConstraint(
                fields=["adapter", "purpose", "partner", "version"], name="device_key_version_once"
            ),
            models.CheckConstraint(condition=Q(state__in=KeyState.values), name="key_state_known"),
            models.CheckConstraint(condition=Q(purpose__in=Purpose.values), name="key_purpose_known"),
            models.CheckConstraint(condition=Q(slot=None) | Q(slot__lte=7), name="key_slot_range"),
            models.CheckConstraint(condition=Q(tag_length__in=[4, 8]), name="key_tag_length"),
            models.CheckConstraint(
                condition=Q(not_before=None) | Q(not_after=None) | Q(not_after__gt=models.F("not_before")),
                name="key_validity_order",
            ),
            models.CheckConstraint(
                # A key that an adapter agreed with a concentrator was never here.
                condition=Q(state="destroyed", sealed=b"")
                | (~Q(state="destroyed") & (~Q(sealed=b"") | ~Q(partner="portal"))),
                name="destroyed_key_is_gone",
            ),
        ]
        # Serves "which keys expire in the next days".
        indexes = [
            models.Index(fields=["organisation", "not_after"], name="key_expiry"),
            # Serves "whose grace time is over".
            models.Index(fields=["grace_until"], condition=Q(state="retiring"), name="key_grace"),
            # Serves the bridge's "what was handed in since".
            models.Index(fields=["id"], condition=Q(intake=True), name="key_intake"),
            # Serves what is left to do after a revocation: tell the adapter, re-seal history, destroy.
            models.Index(fields=["state_at"], condition=Q(state="revoked"), name="key_revoked"),
            # Keyset pages of the inventory, also of one purpose or state.
            models.Index(fields=["organisation", "id"], name="key_pages"),
            models.Index(fields=["organisation", "purpose", "state", "id"], name="key_kind_pages"),
        ]

    @property
    def held(self) -> bool:
        """Whether the portal holds its value: not once it is destroyed, and never of a concentrator's own."""
        return bool(self.sealed)

    @property
    def opens(self) -> bool:
        """Whether telegrams under this key are still accepted."""
        return self.state in OPENING

    def __str__(self) -> str:
        return f"{self.purpose} {self.version} of {self.adapter_id} ({self.state})"
