"""A changed data rate, with hysteresis: one frame that came in well or badly moves nobody."""

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
