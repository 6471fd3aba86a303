"""Suppliers and how they write their files, batches of adapters, and the rows of a batch with their keys sealed."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from provisioning.accounts.models import Organisation, User
from provisioning.fleet.models import Concentrator, Site


class Supplier(models.Model):
    """Who delivers adapters. `mapping`: our field -> the title of the file's column; `defaults`: our field -> value."""

    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="suppliers")
    name = models.CharField(max_length=80)
    mapping = models.JSONField(default=dict, blank=True)
    defaults = models.JSONField(default=dict, blank=True)
    encoding = models.CharField(max_length=12, blank=True)  # empty: found out from the file
    delimiter = models.CharField(max_length=1, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["organisation", "name"], name="supplier_name_once")]

    def __str__(self) -> str:
        return self.name


class Batch(models.Model):
    """One file of adapters, or one series made here, on its way into the stock."""

    class Mode(models.TextChoices):
        ALL_OR_NOTHING = "all_or_nothing", _("All or nothing")
        SKIP_BAD_ROWS = "skip_bad_rows", _("Skip bad rows")

    class Source(models.TextChoices):
        FILE = "file", _("Supplier's file")
        GENERATED = "generated", _("Made here")

    class State(models.TextChoices):
        UPLOADED = "uploaded", _("Uploaded")
        CHECKED = "checked", _("Checked")
        IMPORTING = "importing", _("Importing")
        DONE = "done", _("Imported")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="batches")
    supplier = models.ForeignKey(Supplier, null=True, blank=True, on_delete=models.PROTECT, related_name="batches")
    source = models.CharField(max_length=9, choices=Source.choices, default=Source.FILE)
    file_name = models.CharField(max_length=120, blank=True)
    file_digest = models.CharField(max_length=64, blank=True)  # SHA-256; the file itself is not kept
    columns = models.JSONField(default=dict, blank=True)  # our field -> title, as used for this file
    facts = models.JSONField(default=dict, blank=True)  # encoding, delimiter, sheet
    site = models.ForeignKey(Site, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    concentrator = models.ForeignKey(Concentrator, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    mode = models.CharField(max_length=14, choices=Mode.choices, default=Mode.ALL_OR_NOTHING)
    state = models.CharField(max_length=9, choices=State.choices, default=State.UPLOADED)
    total = models.PositiveIntegerField(default=0)
    new = models.PositiveIntegerField(default=0)
    known = models.PositiveIntegerField(default=0)
    bad = models.PositiveIntegerField(default=0)
    imported = models.PositiveIntegerField(default=0)
    error_counts = models.JSONField(default=dict, blank=True)  # code -> number of rows
    failure = models.CharField(max_length=300, blank=True)
    task_id = models.CharField(max_length=60, blank=True)
    created_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    started_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    checked_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["uploaded", "checked", "importing", "done", "failed", "cancelled"]),
                name="batch_state_known",
            )
        ]
        # Keyset pages of an organisation's batches.
        indexes = [models.Index(fields=["organisation", "-created_at", "-id"], name="batch_pages")]

    @property
    def over(self) -> bool:
        """True when nothing can happen to it any more."""
        return self.state in {self.State.DONE, self.State.CANCELLED}

    def __str__(self) -> str:
        return self.file_name or f"series {self.pk}"


class BatchRow(models.Model):
    """One adapter of a batch. `sealed` holds its keys in the order of `keys`, until they are imported or given up."""

    class State(models.TextChoices):
        NEW = "new", _("New")
        KNOWN = "known", _("Known")
        BAD = "bad", _("Bad")
        IMPORTED = "imported", _("Imported")
        SKIPPED = "skipped", _("Skipped")

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="rows")
    line = models.PositiveIntegerField()
    dev_eui = models.CharField(max_length=16, blank=True)
    state = models.CharField(max_length=8, choices=State.choices)
    flawed = models.BooleanField(default=False)  # bad in itself, whatever is registered
    errors = models.JSONField(default=list, blank=True)  # [{"column", "code", "message"}]
    codes = models.CharField(max_length=400, blank=True)  # "|code|code|", to filter by
    values = models.JSONField(default=dict, blank=True)  # never a secret
    keys = models.JSONField(default=list, blank=True)  # [{"purpose", "slot", "tag_length", "check_value"}]
    sealed = models.BinaryField(default=b"", max_length=1000)
    token_digest = models.CharField(max_length=64, blank=True)
    token_pepper = models.PositiveSmallIntegerField(null=True, blank=True)
    token_sealed = models.BinaryField(default=b"", max_length=300)

    class Meta:
        ordering = ["line"]
        constraints = [models.UniqueConstraint(fields=["batch", "line"], name="batch_line_once")]
        indexes = [
            # Serves the next chunk of an import, and the report by state.
            models.Index(fields=["batch", "state", "line"], name="batch_row_state"),
        ]

    def __str__(self) -> str:
        return f"line {self.line} of {self.batch_id}"
