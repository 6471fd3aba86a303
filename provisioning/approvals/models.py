"""What one person asks for and another one has to allow."""

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from provisioning.accounts.models import Organisation, User


class Approval(models.Model):
    """A request for one deed on one subject, usable once and only while it is fresh.

    `deed` names it ("key.reveal"), `subject` the row it is about ("devicekey 12"); the two bind the approval.
    """

    class State(models.TextChoices):
        PENDING = "pending", _("Waits for a second person")
        APPROVED = "approved", _("Approved")
        REFUSED = "refused", _("Refused")
        WITHDRAWN = "withdrawn", _("Withdrawn")
        USED = "used", _("Used")

    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="approvals")
    deed = models.CharField(max_length=40)
    subject = models.CharField(max_length=80)
    summary = models.CharField(max_length=200)  # what the second person reads
    reason = models.CharField(max_length=200)
    state = models.CharField(max_length=9, choices=State.choices, default=State.PENDING)
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField(default=timezone.now)
    decided_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)
    decision = models.CharField(max_length=200, blank=True)  # why it was refused
    used_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField()

    class Meta:
        ordering = ["-requested_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(decided_by=None) | Q(state="withdrawn") | ~Q(decided_by=F("requested_by")),
                name="nobody_approves_their_own",
            ),
            models.UniqueConstraint(
                fields=["organisation", "deed", "subject", "requested_by"],
                condition=Q(state__in=["pending", "approved"]),
                name="one_open_request",
            ),
        ]
        # Serves "what waits for a decision here".
        indexes = [models.Index(fields=["organisation", "state"], name="approval_state")]

    def __str__(self) -> str:
        return f"{self.deed} of {self.subject} ({self.state})"
