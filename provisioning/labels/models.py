"""Owner tokens: what an adapter's label carries to prove that somebody holds the adapter in hand."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from provisioning.accounts.models import Organisation, User
from provisioning.fleet.models import Adapter


class OwnerToken(models.Model):
    """A token of 128 random bits or more, kept as HMAC under the pepper of number `pepper`.

    `sealed` is a copy that only the vault opens, so that a label can be printed; it is wiped with the token's use.
    """

    class State(models.TextChoices):
        NEW = "new", _("New")
        CONSUMED = "consumed", _("Used")
        REPLACED = "replaced", _("Replaced by a new label")

    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="owner_tokens")
    adapter = models.ForeignKey(Adapter, on_delete=models.PROTECT, related_name="owner_tokens")
    digest = models.CharField(max_length=64)
    pepper = models.PositiveSmallIntegerField()
    sealed = models.BinaryField(max_length=200, default=b"")
    state = models.CharField(max_length=8, choices=State.choices, default=State.NEW)
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    printed_at = models.DateTimeField(null=True, blank=True)
    consumed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["adapter"], condition=Q(state="new"), name="one_new_owner_token"),
            models.CheckConstraint(condition=Q(state="new") | Q(sealed=b""), name="used_owner_token_is_gone"),
        ]

    def __str__(self) -> str:
        return f"owner token of {self.adapter_id} ({self.state})"
