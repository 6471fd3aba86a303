"""Signed days: one signature a day over everything an adapter sent, and what travels for it on port 34."""

from meterwire.key_messages import MAX_PAYLOAD as MAX_FRAME
from meterwire.key_messages import PORT
from meterwire.signed_day.frames import (
    DayRefusal,
    DayRequest,
    LeafHash,
    LeafRuns,
    Message,
    Reason,
    SignatureHalf,
    SigningKey,
    Wanted,
    authenticate,
    decode,
    encode,
    is_day_frame,
    run_frames,
)
from meterwire.signed_day.runs import Run, runs_of
from meterwire.signed_day.statement import LABEL, Statement, begin_of, date_of, day_number, leaf, number_of
from meterwire.signed_day.tree import leaf_hash, root

__all__ = [
    "LABEL",
    "MAX_FRAME",
    "PORT",
    "DayRefusal",
    "DayRequest",
    "LeafHash",
    "LeafRuns",
    "Message",
    "Reason",
    "Run",
    "SignatureHalf",
    "SigningKey",
    "Statement",
    "Wanted",
    "authenticate",
    "begin_of",
    "date_of",
    "day_number",
    "decode",
    "encode",
    "is_day_frame",
    "leaf",
    "leaf_hash",
    "number_of",
    "root",
    "run_frames",
    "runs_of",
]
