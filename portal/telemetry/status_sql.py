"""The statement that adds a batch's changes to AdapterStatus, the same for every engine."""

COLUMNS = (
    "adapter_id", "organisation_id", "concentrator_id", "seen", "low", "high", "epoch", "fcnt", "rssi", "snr", "dr",
    "telegrams", "received", "refused", "error", "error_at", "period_s", "due_at",
)  # fmt: skip

_LATEST = ("concentrator_id", "last_seen", "epoch", "fcnt", "rssi", "snr", "dr", "due_at")


def upsert(source: str, nothing: str = "NULL") -> str:
    """`source` is what follows FROM and yields COLUMNS.

    In it -1 stands for no counter and no data rate, '' for no error, 0 for no period, and `nothing` for no moment.
    """
    newer = "EXCLUDED.last_seen IS NOT NULL AND (s.last_seen IS NULL OR EXCLUDED.last_seen >= s.last_seen)"
    latest = ", ".join(f"{name} = CASE WHEN {newer} THEN EXCLUDED.{name} ELSE s.{name} END" for name in _LATEST)
    return f"""
INSERT INTO telemetry_adapterstatus AS s (
    adapter_id, organisation_id, concentrator_id, state, last_seen, first_counter, last_counter, epoch, fcnt,
    rssi, snr, dr, telegrams, received, refused, last_error, last_error_at, period_s,
    due_at)
SELECT adapter_id, organisation_id, concentrator_id, 'heard', NULLIF(seen, {nothing}), NULLIF(low, -1),
    NULLIF(high, -1), epoch, NULLIF(fcnt, -1), rssi, snr, NULLIF(dr, -1), telegrams, received, refused,
    NULLIF(error, ''), NULLIF(error_at, {nothing}), NULLIF(period_s, 0), NULLIF(due_at, {nothing})
FROM {source}
ON CONFLICT (adapter_id) DO UPDATE SET {latest},
    state = CASE WHEN EXCLUDED.telegrams > 0 THEN 'heard' ELSE s.state END,
    first_counter = CASE WHEN s.first_counter IS NULL OR EXCLUDED.first_counter < s.first_counter
        THEN EXCLUDED.first_counter ELSE s.first_counter END,
    last_counter = CASE WHEN s.last_counter IS NULL OR EXCLUDED.last_counter > s.last_counter
        THEN EXCLUDED.last_counter ELSE s.last_counter END,
    telegrams = s.telegrams + EXCLUDED.telegrams,
    received = s.received + EXCLUDED.received,
    refused = s.refused + EXCLUDED.refused,
    last_error = COALESCE(EXCLUDED.last_error, s.last_error),
    last_error_at = COALESCE(EXCLUDED.last_error_at, s.last_error_at),
    period_s = COALESCE(EXCLUDED.period_s, s.period_s)
"""  # noqa: S608 (both arguments are constants of the stores)
