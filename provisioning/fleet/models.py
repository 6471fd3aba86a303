"""Sites, metering points, meters, concentrators and adapters, and the log of what a concentrator has to learn."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from provisioning.accounts.models import Membership, Organisation, User


class Site(models.Model):
    """A building or property."""

    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="sites")
    name = models.CharField(max_length=120)
    street = models.CharField(max_length=120, blank=True)
    postcode = models.CharField(max_length=12, blank=True)
    city = models.CharField(max_length=80, blank=True)
    country = models.CharField(max_length=2, default="DE")
    time_zone = models.CharField(max_length=40, default="Europe/Berlin")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    archived_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "name"], condition=Q(archived_at=None), name="site_name_once"
            )
        ]

    def __str__(self) -> str:
        return self.name


class SiteAccess(models.Model):
    """One site that a membership limited to sites (`all_sites` false) may work at."""

    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="site_access")
    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="access")

    class Meta:
        verbose_name_plural = "site access"
        constraints = [models.UniqueConstraint(fields=["membership", "site"], name="site_access_once")]

    def __str__(self) -> str:
        return f"{self.membership_id} at {self.site_id}"


class MeteringPoint(models.Model):
    """The place that is measured; readings hang here and outlive meters and adapters."""

    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="metering_points")
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="metering_points")
    name = models.CharField(max_length=120)
    melo_id = models.CharField(max_length=33, blank=True)
    malo_id = models.CharField(max_length=11, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    archived_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["site", "name"], condition=Q(archived_at=None), name="metering_point_name_once"
            ),
            models.UniqueConstraint(
                fields=["organisation", "melo_id"],
                condition=Q(archived_at=None) & ~Q(melo_id=""),
                name="melo_once",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Meter(models.Model):
    """A meter at a metering point, from `installed_at` to `removed_at` (null: still there)."""

    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="meters")
    metering_point = models.ForeignKey(MeteringPoint, on_delete=models.PROTECT, related_name="meters")
    meter_id = models.CharField(max_length=14)  # DIN 43863-5, without spaces
    server_id = models.CharField(max_length=20, blank=True)  # what it calls itself in SML, hex
    maker = models.CharField(max_length=80, blank=True)
    installed_at = models.DateTimeField(default=timezone.now)
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-installed_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "meter_id"], condition=Q(removed_at=None), name="meter_at_one_place"
            ),
            models.UniqueConstraint(
                fields=["metering_point"], condition=Q(removed_at=None), name="one_meter_per_metering_point"
            ),
            models.CheckConstraint(
                condition=Q(removed_at=None) | Q(removed_at__gte=models.F("installed_at")),
                name="meter_removed_after_installed",
            ),
        ]

    def __str__(self) -> str:
        return self.meter_id


class Concentrator(models.Model):
    """A base station. The first block is what we want, the second what it last reported about itself."""

    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="concentrators")
    site = models.ForeignKey(Site, null=True, blank=True, on_delete=models.PROTECT, related_name="concentrators")
    eui = models.CharField(max_length=16)
    name = models.CharField(max_length=120)
    mqtt_password = models.CharField(max_length=200, blank=True)  # mosquitto_passwd form, never clear
    public_key = models.CharField(max_length=64, blank=True)  # X25519, hex; only an approved one is ever used
    key_approved_at = models.DateTimeField(null=True, blank=True)
    key_approved_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    # Of the certificate in force, as meterwire.curves writes it, hex; keys are then wrapped for it instead.
    certificate_key = models.CharField(max_length=66, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)  # its certificates and its account at the broker are void
    desired_revision = models.PositiveBigIntegerField(default=1)
    whole_since = models.PositiveBigIntegerField(default=1)  # a concentrator below it needs the whole table
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    archived_at = models.DateTimeField(null=True, blank=True)

    announced_key = models.CharField(max_length=64, blank=True)  # differs from public_key: waits for approval
    announced_at = models.DateTimeField(null=True, blank=True)
    running_revision = models.PositiveBigIntegerField(default=0)
    online = models.BooleanField(default=False)
    boot = models.CharField(max_length=26, blank=True)
    version = models.CharField(max_length=40, blank=True)
    mode = models.CharField(max_length=12, blank=True)
    devices = models.PositiveIntegerField(default=0)
    queue_depth = models.PositiveIntegerField(default=0)
    oldest_age_s = models.FloatField(default=0)
    dropped = models.PositiveBigIntegerField(default=0)
    clock_quality = models.CharField(max_length=4, blank=True)
    clock_offset_ms = models.FloatField(null=True, blank=True)
    gateways = models.JSONField(default=list, blank=True)
    last_state_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(fields=["eui"], condition=Q(archived_at=None), name="concentrator_eui_once"),
            models.UniqueConstraint(
                fields=["organisation", "name"], condition=Q(archived_at=None), name="concentrator_name_once"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def key_approved(self) -> bool:
        """True when root keys may be wrapped for `public_key`."""
        return bool(self.public_key) and self.key_approved_at is not None

    @property
    def key_waiting(self) -> bool:
        """True when the concentrator announced a key nobody has approved yet."""
        return bool(self.announced_key) and self.announced_key != self.public_key

    @property
    def key_changed(self) -> bool:
        """True when it announces another key than the approved one: a re-installation or an attack."""
        return self.key_waiting and self.key_approved


class Adapter(models.Model):
    """A metering communication adapter, or a foreign LoRaWAN device registered by its keys."""

    class Kind(models.TextChoices):
        METERSPAN = "meterspan", _("Meterspan")
        FOREIGN = "foreign", _("Foreign LoRaWAN device")

    class Activation(models.TextChoices):
        OTAA = "otaa", "OTAA"
        ABP = "abp", "ABP"

    class LoRaWAN(models.TextChoices):
        V1_0_2 = "1.0.2", "1.0.2"
        V1_0_3 = "1.0.3", "1.0.3"
        V1_0_4 = "1.0.4", "1.0.4"

    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="adapters")
    site = models.ForeignKey(Site, null=True, blank=True, on_delete=models.PROTECT, related_name="adapters")
    concentrator = models.ForeignKey(
        Concentrator, null=True, blank=True, on_delete=models.PROTECT, related_name="adapters"
    )
    dev_eui = models.CharField(max_length=16)
    join_eui = models.CharField(max_length=16)
    serial = models.CharField(max_length=40, blank=True)
    kind = models.CharField(max_length=9, choices=Kind.choices, default=Kind.METERSPAN)
    activation = models.CharField(max_length=4, choices=Activation.choices, default=Activation.OTAA)
    dev_addr = models.CharField(max_length=8, blank=True)  # ABP only
    lorawan = models.CharField(max_length=5, choices=LoRaWAN.choices, default=LoRaWAN.V1_0_4)
    location = models.CharField(max_length=120, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)  # all its keys are revoked: nothing of it is believed
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    archived_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["dev_eui"]
        constraints = [
            models.UniqueConstraint(fields=["dev_eui"], condition=Q(archived_at=None), name="dev_eui_once"),
            models.CheckConstraint(
                condition=(Q(activation="otaa", dev_addr="") | (Q(activation="abp") & ~Q(dev_addr=""))),
                name="abp_has_dev_addr",
            ),
        ]
        indexes = [
            # Keyset pages of an organisation's adapters.
            models.Index(fields=["organisation", "dev_eui"], condition=Q(archived_at=None), name="adapter_pages"),
            # The same within one site.
            models.Index(fields=["site", "dev_eui"], condition=Q(archived_at=None), name="adapter_site_pages"),
        ]

    def __str__(self) -> str:
        return self.dev_eui


class DeviceChange(models.Model):
    """The device table of `concentrator` changed at `revision`: `dev_eui` was added, changed, removed or re-keyed."""

    concentrator = models.ForeignKey(Concentrator, on_delete=models.CASCADE, related_name="changes")
    revision = models.PositiveBigIntegerField()
    dev_eui = models.CharField(max_length=16)

    class Meta:
        # Serves "what changed after revision n"; unique so that one change is logged once.
        constraints = [
            models.UniqueConstraint(fields=["concentrator", "revision", "dev_eui"], name="device_change_once")
        ]

    def __str__(self) -> str:
        return f"{self.dev_eui} at {self.revision}"
