"""What adapters sent and what is known of them: telegrams, register values, state, events, silence, roll-ups.

Telegrams and readings are written by the pipeline alone, in batches past the ORM, so their references carry
no foreign-key trigger (a third of the database's work per row) and no index of their own: adapters and
metering points are archived, never deleted, and the pipeline only writes keys that it has just read.
"""

from typing import Any

from django.db import models
from django.db.models import F, Q

from portal.telemetry.fields import UlidField
from provisioning.accounts.models import Organisation
from provisioning.fleet.models import Adapter, Concentrator, MeteringPoint
from provisioning.keys.models import DeviceKey

_BARE: Any = {"db_constraint": False, "db_index": False}


class TimeQuality(models.IntegerChoices):
    """How the concentrator's clock was held when it received the telegram."""

    NONE = 0, "none"
    FREE = 1, "free"
    NTP = 2, "ntp"
    GPS = 3, "gps"


class Telegram(models.Model):
    """One uplink as it came, outer encryption removed; `error` names why it was refused, None: accepted.

    `counter` is the inner 32-bit counter, proven by the tag unless `sealed`; a foreign device has none and
    counts by (`epoch`, `fcnt`). `rssi` (dBm) and `snr` (dB) are the best gateway's, `rx` holds all of them.
    `key`: its values are kept nowhere but in `payload`, which opens under this key (meterwire.resting).
    """

    id = UlidField(primary_key=True)
    organisation = models.ForeignKey(Organisation, models.DO_NOTHING, **_BARE, related_name="+")
    concentrator = models.ForeignKey(Concentrator, models.DO_NOTHING, **_BARE, related_name="+")
    adapter = models.ForeignKey(Adapter, models.DO_NOTHING, **_BARE, null=True, related_name="telegrams")
    received_at = models.DateTimeField()
    stored_at = models.DateTimeField()
    counter = models.BigIntegerField(null=True)
    fcnt = models.BigIntegerField()
    epoch = models.BigIntegerField(default=0)
    freq = models.IntegerField()
    rssi = models.FloatField()
    snr = models.FloatField()
    fport = models.SmallIntegerField()
    dr = models.SmallIntegerField()
    time_quality = models.SmallIntegerField(choices=TimeQuality.choices)
    key_slot = models.SmallIntegerField(null=True)
    key = models.ForeignKey(DeviceKey, models.DO_NOTHING, **_BARE, null=True, related_name="+")
    sealed = models.BooleanField(default=False)
    dev_eui = models.CharField(max_length=16)
    payload = models.BinaryField(max_length=242)
    rx = models.JSONField()
    error = models.CharField(max_length=40, null=True)

    class Meta:
        constraints = [
            # One accepted telegram per inner counter, whichever concentrator brought it.
            models.UniqueConstraint(
                fields=["adapter", "counter"],
                condition=Q(error__isnull=True, counter__isnull=False),
                name="telegram_counter_once",
            ),
            models.UniqueConstraint(
                fields=["adapter", "epoch", "fcnt"],
                condition=Q(error__isnull=True, counter__isnull=True),
                name="telegram_fcnt_once",
            ),
        ]
        indexes = [
            # The adapter's page and retention.
            models.Index(fields=["adapter", "received_at"], name="telegram_adapter_time"),
            # The newest refusals of an organisation.
            models.Index(fields=["organisation", "id"], condition=Q(error__isnull=False), name="telegram_refused"),
            # What is to be sealed anew before a key is destroyed, and whether an adapter has sealed history.
            models.Index(fields=["adapter", "key"], condition=Q(key__isnull=False), name="telegram_kept_sealed"),
        ]

    def __str__(self) -> str:
        return f"{self.dev_eui} {self.counter if self.counter is not None else self.fcnt}"


class Reading(models.Model):
    """One register value of one accepted telegram, in the dictionary's unit and exponent; None while sealed.

    `register` is the extended register number (meterwire.registers.register_number). `metering_point` is the
    one the adapter's input was paired with when the value was measured. `recovered`: the telegram of this counter was
    lost, and the next one told the value (portal.telemetry.recovery); when the lost one comes, its readings stand here.
    """

    pk = models.CompositePrimaryKey("adapter", "counter", "register")
    adapter = models.ForeignKey(Adapter, models.DO_NOTHING, **_BARE, related_name="readings")
    counter = models.BigIntegerField()
    measured_at = models.DateTimeField()
    value = models.BigIntegerField(null=True)
    metering_point = models.ForeignKey(MeteringPoint, models.DO_NOTHING, **_BARE, null=True, related_name="+")
    register = models.SmallIntegerField()
    recovered = models.BooleanField(default=False, db_default=False)

    class Meta:
        # Charts, the API and retention; a metering point is asked for through the adapters paired with it.
        indexes = [models.Index(fields=["adapter", "register", "measured_at"], name="reading_series")]

    def __str__(self) -> str:
        return f"{self.adapter_id} {self.counter} {self.register}"


class AdapterStatus(models.Model):
    """What is known of an adapter now; made when it is first heard, kept up by the pipeline batch by batch.

    `telegrams` counts accepted ones, `received` those of them with an inner counter: counters between
    `first_counter` and `last_counter` that never arrived are `missing` (lost on the air, or skipped by a
    restart of the adapter). `period_s` is the smoothed distance of telegrams; when nothing comes until `due_at`,
    the adapter is silent.
    """

    class State(models.TextChoices):
        HEARD = "heard"
        SILENT = "silent"

    adapter = models.OneToOneField(Adapter, models.CASCADE, primary_key=True, related_name="status")
    organisation = models.ForeignKey(Organisation, models.CASCADE, db_index=False, related_name="+")
    concentrator = models.ForeignKey(Concentrator, models.SET_NULL, null=True, related_name="+")
    state = models.CharField(max_length=8, choices=State.choices, default=State.HEARD)
    last_seen = models.DateTimeField(null=True)
    first_counter = models.BigIntegerField(null=True)
    last_counter = models.BigIntegerField(null=True)
    epoch = models.BigIntegerField(default=0)
    fcnt = models.BigIntegerField(null=True)
    rssi = models.FloatField(null=True)
    snr = models.FloatField(null=True)
    dr = models.SmallIntegerField(null=True)
    telegrams = models.BigIntegerField(default=0)
    received = models.BigIntegerField(default=0)
    refused = models.BigIntegerField(default=0)
    last_error = models.CharField(max_length=40, null=True)
    last_error_at = models.DateTimeField(null=True)
    period_s = models.FloatField(null=True)
    due_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["organisation", "state"], name="status_state")]  # overview counts

    def __str__(self) -> str:
        return f"{self.adapter_id} {self.state}"

    @property
    def missing(self) -> int:
        """Counters that were never received."""
        if self.first_counter is None or self.last_counter is None:
            return 0
        return max(0, self.last_counter - self.first_counter + 1 - self.received)


JOINING = ("heard", "join_refused", "joined")  # kinds of events


class AdapterEvent(models.Model):
    """Something that happened at a concentrator or in the pipeline: joins, refusals, strangers, clocks.

    `kind` and `reason` are those of meterwire.messages.Event; the portal adds `registered`, `security` and
    `protocol`. `organisation` is None for a message under the name of no registered concentrator.
    """

    id = UlidField(primary_key=True)
    organisation = models.ForeignKey(Organisation, models.CASCADE, null=True, db_index=False, related_name="+")
    concentrator = models.ForeignKey(Concentrator, models.CASCADE, null=True, db_index=False, related_name="events")
    adapter = models.ForeignKey(Adapter, models.CASCADE, null=True, db_index=False, related_name="events")
    dev_eui = models.CharField(max_length=16, default="", blank=True)
    kind = models.CharField(max_length=24)
    reason = models.CharField(max_length=40, default="", blank=True)
    detail = models.JSONField(default=dict)
    at = models.DateTimeField()
    stored_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            models.Index(fields=["organisation", "at"], name="event_organisation_time"),
            models.Index(fields=["adapter", "at"], name="event_adapter_time"),
            models.Index(fields=["concentrator", "at"], name="event_concentrator_time"),
            # What a concentrator said of its clock, among the figures of many adapters.
            models.Index(fields=["concentrator", "at"], condition=Q(kind="clock"), name="event_clock"),
            # Who wants to join, among the same.
            models.Index(fields=["organisation", "at"], condition=Q(kind__in=JOINING), name="event_joining"),
            models.Index(fields=["concentrator", "at"], condition=Q(kind__in=JOINING), name="event_joining_there"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.reason} {self.dev_eui}".strip()


class Silence(models.Model):
    """A stretch of silence: of one adapter, or of a whole concentrator when all of its adapters fell silent.

    Exactly one of `adapter` and `concentrator` is the subject; `until` None means it lasts.
    """

    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="+")
    adapter = models.ForeignKey(Adapter, models.CASCADE, null=True, related_name="silences")
    concentrator = models.ForeignKey(Concentrator, models.CASCADE, null=True, related_name="silences")
    since = models.DateTimeField()
    until = models.DateTimeField(null=True)
    adapters = models.IntegerField(default=1)  # how many are concerned

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(adapter__isnull=True) ^ Q(concentrator__isnull=True), name="silence_one_subject"
            ),
            models.CheckConstraint(condition=Q(until__isnull=True) | Q(until__gte=F("since")), name="silence_order"),
            models.UniqueConstraint(
                fields=["adapter"],
                condition=Q(until__isnull=True, adapter__isnull=False),
                name="silence_adapter_once",
            ),
            models.UniqueConstraint(
                fields=["concentrator"],
                condition=Q(until__isnull=True, concentrator__isnull=False),
                name="silence_concentrator_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{'adapter' if self.adapter_id else 'concentrator'} silent since {self.since:%Y-%m-%d %H:%M}"


class Rollup(models.Model):
    """Opened values of one register of one adapter over a stretch of time from `start` on, condensed."""

    adapter = models.ForeignKey(Adapter, models.DO_NOTHING, **_BARE, related_name="+")
    register = models.SmallIntegerField()
    start = models.DateTimeField()
    metering_point = models.ForeignKey(MeteringPoint, models.DO_NOTHING, **_BARE, null=True, related_name="+")
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    first_value = models.BigIntegerField()
    last_value = models.BigIntegerField()
    min_value = models.BigIntegerField()
    max_value = models.BigIntegerField()
    mean = models.FloatField()
    count = models.IntegerField()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.adapter_id} {self.register} {self.start:%Y-%m-%d %H:%M}"


class HourRollup(Rollup):
    """An hour of UTC."""

    pk = models.CompositePrimaryKey("adapter", "register", "start")


class DayRollup(Rollup):
    """A calendar day of the portal's time zone, made from its hours."""

    pk = models.CompositePrimaryKey("adapter", "register", "start")


class SlotDay(models.Model):
    """How an adapter kept its slot on a day (UTC): telegrams `inside` and `outside` of it, how many of the `expected`
    ones arrived, how early and late at most (99 % of an hour's, ms), and the figures that the concentrator said last.

    `collided`: lost in a slot while others of the same minutes came; counted by the portal, never certain. `other`:
    telegrams that the concentrator measured by another slot than that of `version`. `marks` says what of it may be
    trouble (portal.telemetry.slots.Mark), 0: nothing.
    """

    adapter = models.ForeignKey(Adapter, models.CASCADE, related_name="slot_days")
    concentrator = models.ForeignKey(Concentrator, models.CASCADE, related_name="+")
    day = models.DateField()
    version = models.PositiveIntegerField()
    guard_ms = models.PositiveSmallIntegerField()
    inside = models.PositiveIntegerField(default=0)
    outside = models.PositiveIntegerField(default=0)
    other = models.PositiveIntegerField(default=0)
    expected = models.PositiveIntegerField(default=0)
    arrived = models.PositiveIntegerField(default=0)
    collided = models.PositiveIntegerField(default=0)
    early_ms = models.FloatField(null=True)
    late_ms = models.FloatField(null=True)
    median_ms = models.FloatField(null=True)
    rate_ppb = models.IntegerField(null=True)
    uncertainty_ms = models.FloatField(null=True)
    answers = models.PositiveIntegerField(default=0)
    marks = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["adapter", "day"], name="slot_day_once")]
        indexes = [
            # The map of a concentrator, and retention.
            models.Index(fields=["concentrator", "day"], name="slot_day_place"),
            # Who may be in trouble: a few of very many.
            models.Index(fields=["concentrator", "day"], condition=Q(marks__gt=0), name="slot_day_marked"),
        ]

    def __str__(self) -> str:
        return f"{self.adapter_id} {self.day}"

    @property
    def used(self) -> float | None:
        """How much of the guard was needed, 1.0: all of it; None while nothing was measured."""
        if not self.guard_ms or self.early_ms is None or self.late_ms is None:
            return None
        return max(self.early_ms, self.late_ms) / self.guard_ms


class LateHour(models.Model):
    """An hour that got readings after it may have been condensed: it is to be condensed again."""

    pk = models.CompositePrimaryKey("start", "adapter")
    start = models.DateTimeField()
    adapter = models.ForeignKey(Adapter, models.DO_NOTHING, **_BARE, related_name="+")

    def __str__(self) -> str:
        return f"{self.adapter_id} {self.start:%Y-%m-%d %H:%M}"


class Watermark(models.Model):
    """How far a scheduled job has come."""

    name = models.CharField(max_length=20, primary_key=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} {self.at:%Y-%m-%d %H:%M}"
