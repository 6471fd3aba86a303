"""How well an adapter is heard: its level, and a changed data rate with hysteresis: one frame moves nobody."""

from meterwire.lorawan.eu868 import EU868
from provisioning.slots.allocator.signal import LEVELS_DBM, NOISE_FLOOR_DBM
from provisioning.slots.models import Assignment

SLOWER_AFTER, FASTER_AFTER = 1, 2  # in a row, one a day; a rate that is too fast loses frames, one too slow only room


def propose(row: Assignment, data_rate: int) -> bool:
    """Count a proposal for an adapter with a slot; True when it has been made often enough in a row to be followed.

    Its own data rate takes back what was proposed before. One outside 0 to 5 is not counted.
    """
    if not 0 <= data_rate <= 5 or row.concentrator_id is None:
        return False
    rows = Assignment.objects.filter(pk=row.pk)
    if data_rate == row.data_rate:
        if row.proposals:
            rows.update(proposed_rate=None, proposals=0)
        return False
    row.proposals = row.proposals + 1 if row.proposed_rate == data_rate else 1
    row.proposed_rate = data_rate
    rows.update(proposed_rate=data_rate, proposals=row.proposals)
    return row.proposals >= (SLOWER_AFTER if data_rate < row.data_rate else FASTER_AFTER)


def note_margin(row: Assignment, margin_db: float) -> None:
    """Keep the level that follows from what a concentrator says: how much louder it hears the row's adapter than its
    data rate needs. A very loud one is louder than this, because receivers do not tell a signal from a better one.
    """
    factor = EU868.data_rate(row.data_rate).spreading_factor
    if factor is None or row.concentrator_id is None:
        return
    level_dbm = round(NOISE_FLOOR_DBM + EU868.required_snr_db[factor] + margin_db)
    row.level_dbm = min(max(level_dbm, LEVELS_DBM[0]), LEVELS_DBM[1])
    Assignment.objects.filter(pk=row.pk).update(level_dbm=row.level_dbm)
