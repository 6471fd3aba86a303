"""Who did what, when: append-only entries in one keyed hash chain per organisation."""

from typing import Any, NoReturn

from django.db import models

from provisioning.accounts.models import Organisation, User


class Immutable(Exception):
    """An audit entry cannot be changed or deleted; write a new one that corrects it."""


class EntryQuerySet(models.QuerySet["Entry"]):
    """Refuses what would change history; the database's triggers refuse it a second time."""

    def update(self, **kwargs: Any) -> NoReturn:
        raise Immutable("audit entries are append-only: write a new entry instead of changing one")

    def delete(self) -> NoReturn:
        raise Immutable("audit entries are append-only and are never deleted")


class Entry(models.Model):
    """One action. `mac` covers every field and the predecessor's `mac` (`prev`); `seq` counts from 1 without gaps."""

    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="audit_entries")
    seq = models.PositiveBigIntegerField()
    at = models.DateTimeField()
    actor = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    actor_name = models.CharField(max_length=254)
    action = models.CharField(max_length=60)
    object_type = models.CharField(max_length=60, blank=True)
    object_id = models.CharField(max_length=40, blank=True)
    object_name = models.CharField(max_length=200, blank=True)
    data = models.JSONField(default=dict)
    key = models.CharField(max_length=8)
    prev = models.CharField(max_length=64, blank=True)
    mac = models.CharField(max_length=64)

    objects = EntryQuerySet.as_manager()

    class Meta:
        ordering = ["organisation_id", "seq"]
        verbose_name_plural = "entries"
        constraints = [
            models.UniqueConstraint(fields=["organisation", "seq"], name="audit_seq_once"),
            models.CheckConstraint(condition=models.Q(seq__gte=1), name="audit_seq_from_one"),
        ]
        # Serves "everything that ever happened to this object".
        indexes = [models.Index(fields=["organisation", "object_type", "object_id"], name="audit_object")]

    def __str__(self) -> str:
        return f"{self.seq} {self.action}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise Immutable("audit entries are append-only: write a new entry instead of changing one")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise Immutable("audit entries are append-only and are never deleted")


class Head(models.Model):
    """The end of an organisation's chain; its row lock lets one writer at a time append."""

    organisation = models.OneToOneField(
        Organisation, on_delete=models.PROTECT, primary_key=True, related_name="audit_head"
    )
    seq = models.PositiveBigIntegerField(default=0)
    mac = models.CharField(max_length=64, blank=True)

    def __str__(self) -> str:
        return f"{self.organisation_id} at {self.seq}"


class Verification(models.Model):
    """What a night's verification found: `entries` sound ones that end in `head`; `broken` is the first that is not."""

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="audit_verifications")
    at = models.DateTimeField()
    entries = models.PositiveBigIntegerField()
    head = models.CharField(max_length=64, blank=True)
    broken = models.PositiveBigIntegerField(null=True)
    reason = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [models.Index(fields=["organisation", "-at"], name="audit_verification_latest")]

    def __str__(self) -> str:
        return f"{self.organisation_id} at {self.at:%Y-%m-%d}: {self.entries} entries"
