"""Judges slots by writing out a whole day of them, every frame's interval; shares no code with what gives them."""

from collections.abc import Iterable

from provisioning.fleet.models import Concentrator
from provisioning.slots.models import Assignment, Neighbour

DAY_MS = 86_400_000
Interval = tuple[int, int, int, bool]  # from, to before, adapter, served here


def collisions(concentrator: Concentrator) -> set[tuple[int, int]]:
    """Pairs of adapters of which a frame of one disturbs a served one of the other here; not those that were told."""
    told = set(Neighbour.objects.filter(concentrator=concentrator, conflict=True).values_list("adapter", flat=True))
    heard = set(Neighbour.objects.filter(concentrator=concentrator).values_list("adapter", flat=True)) - told
    by_channel: dict[int, list[Interval]] = {}
    for row in Assignment.objects.filter(concentrator__isnull=False, overlap_ms=0):
        served = row.concentrator_id == concentrator.pk
        if served or row.pk in heard:
            frames = [(begin, begin + row.length_ms, row.pk, served) for begin in begins(row.phase_ms, row.period_s)]
            by_channel.setdefault(row.channel, []).extend(frames)
    return {pair for frames in by_channel.values() for pair in _met(sorted(frames))}


def begins(phase_ms: int, period_s: int) -> Iterable[int]:
    return range(phase_ms, DAY_MS, period_s * 1000)


def in_open_time(row: Assignment) -> bool:
    """Whether one of the day's frames is on the air in the last 7.5 s of five minutes."""
    spans = ((begin % 300_000, begin % 300_000 + row.length_ms) for begin in begins(row.phase_ms, row.period_s))
    return any(end > 292_500 for _begin, end in spans)


def _met(frames: list[Interval]) -> Iterable[tuple[int, int]]:
    on_air: list[Interval] = []
    for frame in frames:
        on_air = [other for other in on_air if other[1] > frame[0]]
        for other in on_air:
            if frame[3] or other[3]:
                yield min(frame[2], other[2]), max(frame[2], other[2])
        on_air.append(frame)
