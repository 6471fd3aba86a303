"""Who sends when: the plan of each concentrator, the slot of each adapter, what it occupies, and who else hears it."""

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from meterwire.slots import DEFAULT_QUANTUM_MS, Kind, Slot
from provisioning.accounts.models import Organisation
from provisioning.fleet.models import Adapter, Concentrator
from provisioning.slots.allocator import Place

BEACON_PERIODS = (0, 60, 300, 900)  # s; 0: no beacon


class SlotPlan(models.Model):
    """How time is divided at a concentrator; its row is the lock under which slots there are given and taken.

    `reserve` is the share of the time, in thousandths, that stays free for frames without a slot. `open_minute`: nobody
    has had a slot in the minutes that end with it, so all of them are open (closed_time.open_now). `full_since`: from
    then on new slots overlap others. `beacon_period_s` 0: the concentrator sends no beacon. `edition` names the last
    change of what is taken here (SlotChange): a random number, because one that counts would come again with a backup.
    """

    concentrator = models.OneToOneField(Concentrator, models.CASCADE, primary_key=True, related_name="slot_plan")
    quantum_ms = models.PositiveSmallIntegerField(default=DEFAULT_QUANTUM_MS)
    guard_ms = models.PositiveSmallIntegerField(default=60)
    reserve = models.PositiveSmallIntegerField(default=25)
    open_minute = models.BooleanField(default=True)
    previous = models.BooleanField(default=False)  # telegrams carry the previous value too
    by_pairing = models.BooleanField(default=True)  # pairings here get a slot without anybody assigning it
    beacon_period_s = models.PositiveSmallIntegerField(default=0)
    beacon_data_rate = models.PositiveSmallIntegerField(default=3)
    full_since = models.DateTimeField(null=True, blank=True)
    edition = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(quantum_ms__in=[2, 3, 4, 5, 6, 8, 10]), name="slot_plan_quantum"),
            models.CheckConstraint(condition=Q(guard_ms__lte=2000), name="slot_plan_guard"),
            models.CheckConstraint(condition=Q(reserve__lte=500), name="slot_plan_reserve"),
            models.CheckConstraint(
                condition=Q(beacon_period_s__in=list(BEACON_PERIODS), beacon_data_rate__lte=5), name="slot_plan_beacon"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.concentrator_id}: {self.quantum_ms} ms, guard {self.guard_ms} ms"


class Assignment(models.Model):
    """The slot of an adapter (meterwire.slots.Slot); without `concentrator` it has none, and only `version` counts on.

    `overlap_ms` is how much of other slots it shares, per day; 0: its own. `level_dbm`: how loud the concentrator hears
    the adapter. The second block is what the adapter last said of it (SlotReport), the third the data rate that is
    proposed instead and how often in a row.
    """

    class State(models.IntegerChoices):
        IN_SLOT = 0, _("Sends in its slot")
        NONE = 1, _("Has no slot")
        NO_TRUST = 2, _("Does not trust its clock")
        REFUSED = 3, _("Refused its slot")

    adapter = models.OneToOneField(Adapter, models.CASCADE, primary_key=True, related_name="slot")
    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="+")
    concentrator = models.ForeignKey(Concentrator, models.PROTECT, null=True, blank=True, related_name="slots")
    channel = models.PositiveSmallIntegerField(default=0)
    phase_ms = models.PositiveIntegerField(default=0)
    period_s = models.PositiveIntegerField(default=900)
    data_rate = models.PositiveSmallIntegerField(default=0)
    size = models.PositiveSmallIntegerField(default=Kind.VALUES.size)  # bytes of FRMPayload it has room for
    guard_ms = models.PositiveSmallIntegerField(default=0)
    length_ms = models.PositiveSmallIntegerField(default=0)
    version = models.PositiveIntegerField(default=0)
    dev_addr = models.CharField(max_length=8, blank=True)  # of its last join; neighbours know it by that
    overlap_ms = models.PositiveIntegerField(default=0)
    level_dbm = models.SmallIntegerField(null=True, blank=True)
    assigned_at = models.DateTimeField(default=timezone.now)

    echoed_version = models.PositiveIntegerField(null=True, blank=True)
    echoed_state = models.PositiveSmallIntegerField(choices=State.choices, null=True, blank=True)
    rate_ppb = models.IntegerField(null=True, blank=True)
    uncertainty_ms = models.PositiveIntegerField(null=True, blank=True)
    echoed_at = models.DateTimeField(null=True, blank=True)

    proposed_rate = models.PositiveSmallIntegerField(null=True, blank=True)
    proposals = models.PositiveSmallIntegerField(default=0)

    class Meta:
        # Serves the question whom a neighbour heard.
        indexes = [models.Index(fields=["organisation", "dev_addr"], name="slot_dev_addr")]
        constraints = [
            models.CheckConstraint(condition=Q(version__lte=65535), name="slot_version_16_bits"),
            models.CheckConstraint(condition=Q(channel__lte=7, data_rate__lte=5), name="slot_channel_and_rate"),
            models.CheckConstraint(
                condition=Q(concentrator=None) | Q(version__gte=1, length_ms__gt=0), name="slot_held_has_length"
            ),
        ]

    def __str__(self) -> str:
        if self.concentrator_id is None:
            return f"no slot for {self.adapter_id}"
        return f"channel {self.channel}, {self.phase_ms} of {self.period_s} s for {self.adapter_id}"

    @property
    def place(self) -> Place:
        """Where the slot lies, in the allocator's words."""
        return Place(self.channel, self.phase_ms)

    @property
    def slot(self) -> Slot | None:
        """The slot as it travels; None when there is none."""
        if self.concentrator_id is None:
            return None
        return Slot(
            self.channel, self.phase_ms, self.period_s, self.data_rate, self.guard_ms, self.length_ms, self.version
        )


class Occupancy(models.Model):
    """A slot's rectangle (provisioning.slots.lattice) at its own concentrator, or at one that only hears the adapter.

    The database refuses two that meet at the same concentrator, unless neither is `served` there or one is `shared`,
    given knowingly when no room was left (provisioning.slots.exclusion).
    """

    assignment = models.ForeignKey(Assignment, models.CASCADE, related_name="occupancies")
    concentrator = models.ForeignKey(Concentrator, models.CASCADE, related_name="occupancies")
    first = models.PositiveBigIntegerField()
    last = models.PositiveBigIntegerField()
    begin = models.PositiveIntegerField()
    end = models.PositiveIntegerField()
    served = models.BooleanField(default=True)
    shared = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["assignment", "concentrator"], name="occupancy_once"),
            models.CheckConstraint(
                condition=Q(last__gt=F("first"), end__gt=F("begin"), end__lte=60_000), name="occupancy_in_minute"
            ),
        ]
        # Serves the watch of engines without exclusion constraints.
        indexes = [models.Index(fields=["first", "begin"], name="occupancy_place")]

    def __str__(self) -> str:
        return f"{self.assignment_id} at {self.concentrator_id}: {self.begin} to {self.end} ms"


class SlotChange(models.Model):
    """An adapter's slot came to a concentrator, went or changed there, so that a process can follow (services.memory).

    Without `adapter`: many did. Only the last ones are kept; whoever is further behind looks at everything.
    """

    concentrator = models.ForeignKey(Concentrator, models.CASCADE, related_name="+")
    edition = models.PositiveBigIntegerField()
    adapter = models.PositiveBigIntegerField(null=True)  # no key: it may be gone

    class Meta:
        indexes = [models.Index(fields=["concentrator", "edition"], name="slot_change_edition")]

    def __str__(self) -> str:
        return f"{self.adapter or 'many'} at {self.concentrator_id}"


class Neighbour(models.Model):
    """A concentrator that hears an adapter which another one serves; believed until `expires_at`."""

    adapter = models.ForeignKey(Adapter, models.CASCADE, related_name="neighbours")
    concentrator = models.ForeignKey(Concentrator, models.CASCADE, related_name="neighbours")
    rssi = models.FloatField(null=True, blank=True)
    heard_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    conflict = models.BooleanField(default=False)  # its slot meets another one there

    class Meta:
        constraints = [models.UniqueConstraint(fields=["adapter", "concentrator"], name="neighbour_once")]
        # Serves the question who is no longer believed to be heard there.
        indexes = [models.Index(fields=["concentrator", "expires_at"], name="neighbour_expiry")]

    def __str__(self) -> str:
        return f"{self.concentrator_id} hears {self.adapter_id}"
