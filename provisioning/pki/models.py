"""The issuing authority, what it issued and revoked, and how a concentrator came to its certificate."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from provisioning.accounts.models import Organisation, User
from provisioning.fleet.models import Concentrator


class Authority(models.Model):
    """An issuing authority of this installation; `active` signs new certificates, older ones are still trusted.

    The private key is kept sealed by the vault (`sealed`), or stays in the token of an HSM under `token_label`.
    """

    name = models.CharField(max_length=64)
    curve = models.CharField(max_length=16)
    certificate = models.BinaryField(max_length=4096)  # DER
    sealed = models.BinaryField(max_length=200, blank=True)
    token_label = models.CharField(max_length=64, blank=True)
    active = models.BooleanField(default=True)
    list_number = models.PositiveBigIntegerField(default=0)  # of the last list of revoked certificates
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    retired_at = models.DateTimeField(null=True, blank=True)  # no longer trusted by anybody

    class Meta:
        ordering = ["-active", "-id"]
        verbose_name_plural = "authorities"
        constraints = [
            models.UniqueConstraint(fields=["active"], condition=Q(active=True), name="one_active_authority"),
            models.CheckConstraint(
                condition=(~Q(sealed=b"") & Q(token_label="")) | (Q(sealed=b"") & ~Q(token_label="")),
                name="authority_key_at_one_place",
            ),
            models.CheckConstraint(condition=Q(retired_at=None) | Q(active=False), name="retired_authority_signs_not"),
        ]

    def __str__(self) -> str:
        return self.name


class RevocationList(models.Model):
    """A signed list of revoked certificates (RFC 5280, 5); the highest number is the one in force."""

    authority = models.ForeignKey(Authority, on_delete=models.CASCADE, related_name="lists")
    number = models.PositiveBigIntegerField()
    der = models.BinaryField()
    this_update = models.DateTimeField()
    next_update = models.DateTimeField()
    entries = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["authority", "number"], name="revocation_list_number_once")]

    def __str__(self) -> str:
        return f"list {self.number} of {self.authority_id}"


class ManufacturerAuthority(models.Model):
    """A manufacturer whose device certificates may ask for a first certificate of this organisation's concentrators."""

    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="manufacturers")
    name = models.CharField(max_length=120)
    certificate = models.BinaryField(max_length=8192)  # DER
    fingerprint = models.CharField(max_length=64)  # SHA-256 of it, hex
    needs_approval = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name", "id"]
        verbose_name_plural = "manufacturer authorities"
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "fingerprint"], condition=Q(removed_at=None), name="manufacturer_once"
            )
        ]

    def __str__(self) -> str:
        return self.name


class OneTimePassword(models.Model):
    """Lets one concentrator ask for its first certificate. Only a keyed digest of the password is kept.

    It serves one public key: `key` is set by its first good use, and only that key may come back with it.
    """

    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    concentrator = models.ForeignKey(Concentrator, on_delete=models.PROTECT, related_name="enrolment_passwords")
    digest = models.CharField(max_length=64)
    pepper = models.PositiveSmallIntegerField()
    needs_approval = models.BooleanField(default=False)
    created_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    wrong_tries = models.PositiveSmallIntegerField(default=0)
    used_at = models.DateTimeField(null=True, blank=True)
    key = models.CharField(max_length=66, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["concentrator"], condition=Q(withdrawn_at=None), name="one_enrolment_password"
            )
        ]

    def __str__(self) -> str:
        return f"enrolment password {self.pk} of {self.concentrator_id}"


class Via(models.TextChoices):
    """What a request for a certificate was believed for."""

    PASSWORD = "password", _("One-time password")
    MANUFACTURER = "manufacturer", _("Manufacturer's certificate")
    RENEWAL = "renewal", _("Its own certificate")


class Enrolment(models.Model):
    """A checked request for a certificate (PKCS #10): waits for approval, is refused, or leads to one certificate."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waits for approval")
        APPROVED = "approved", _("Approved")
        ISSUED = "issued", _("Issued")
        REFUSED = "refused", _("Refused")

    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="enrolments")
    concentrator = models.ForeignKey(Concentrator, on_delete=models.PROTECT, related_name="enrolments")
    request = models.BinaryField(max_length=16384)  # DER
    key = models.CharField(max_length=66)  # as meterwire.curves writes it, hex
    via = models.CharField(max_length=12, choices=Via.choices)
    credential = models.CharField(max_length=64)  # the serial or the password's number it was believed for
    state = models.CharField(max_length=8, choices=State.choices)
    address = models.GenericIPAddressField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["key"], name="enrolment_key_once"),
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "approved", "issued", "refused"]), name="enrolment_state"
            ),
        ]
        # Serves "what waits for approval".
        indexes = [models.Index(fields=["organisation"], condition=Q(state="waiting"), name="enrolment_waiting")]

    def __str__(self) -> str:
        return f"enrolment {self.pk} of {self.concentrator_id} ({self.state})"


class Reason(models.TextChoices):
    """Why a certificate is revoked, as RFC 5280 5.3.1 names it."""

    UNSPECIFIED = "unspecified", _("Unspecified")
    KEY_COMPROMISE = "key_compromise", _("Its key may be known to others")
    SUPERSEDED = "superseded", _("Replaced by another one")
    CESSATION = "cessation_of_operation", _("Out of operation")


class Certificate(models.Model):
    """A certificate that an authority issued: a concentrator's, or (without one) a server's of this installation."""

    organisation = models.ForeignKey(
        Organisation, null=True, blank=True, on_delete=models.PROTECT, related_name="certificates"
    )
    concentrator = models.ForeignKey(
        Concentrator, null=True, blank=True, on_delete=models.PROTECT, related_name="certificates"
    )
    authority = models.ForeignKey(Authority, on_delete=models.PROTECT, related_name="certificates")
    enrolment = models.OneToOneField(
        Enrolment, null=True, blank=True, on_delete=models.PROTECT, related_name="certificate"
    )
    name = models.CharField(max_length=64)  # its common name
    serial = models.CharField(max_length=40, unique=True)  # hex, 159 random bits
    key = models.CharField(max_length=66)
    der = models.BinaryField(max_length=4096)
    not_before = models.DateTimeField()
    not_after = models.DateTimeField()
    issued_at = models.DateTimeField(default=timezone.now, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    revocation = models.CharField(max_length=24, choices=Reason.choices, blank=True)
    reason = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(not_after__gt=models.F("not_before")), name="certificate_validity"),
            models.CheckConstraint(
                condition=Q(concentrator=None, organisation=None)
                | Q(concentrator__isnull=False, organisation__isnull=False),
                name="certificate_owner",
            ),
            models.UniqueConstraint(fields=["key"], name="certificate_key_once"),
        ]
        indexes = [
            # Serves an authority's list of revoked certificates.
            models.Index(
                fields=["authority", "not_after"], condition=Q(revoked_at__isnull=False), name="certificate_revoked"
            ),
            # Serves "which certificates end soon".
            models.Index(fields=["organisation", "not_after"], name="certificate_expiry"),
        ]

    def __str__(self) -> str:
        return f"certificate {self.serial} of {self.name}"
