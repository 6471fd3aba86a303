"""M-Bus telegrams, wireless (EN 13757-4, OMS) and wired (EN 13757-2), with the two security modes of meters that
encrypt by themselves [0067, 0073]: `link` or `wired` frame, `transport` layers, `security`, `records`, `readings`.
"""

from meterwire.wmbus.address import Address
from meterwire.wmbus.link import LinkFrame, decode_link
from meterwire.wmbus.readings import reading_of
from meterwire.wmbus.records import Record, decode_records
from meterwire.wmbus.security import Opened, open_records, seal_5, seal_7
from meterwire.wmbus.transport import Upper, decode_upper
from meterwire.wmbus.wired import LongFrame, decode_long

__all__ = [
    "Address",
    "LinkFrame",
    "LongFrame",
    "Opened",
    "Record",
    "Upper",
    "decode_link",
    "decode_long",
    "decode_records",
    "decode_upper",
    "open_records",
    "reading_of",
    "seal_5",
    "seal_7",
]
