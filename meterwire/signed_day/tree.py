"""The hash tree over a day's telegrams: RFC 6962 section 2.1, SHA-256."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

LEAF: Final = b"\x00"
NODE: Final = b"\x01"


def leaf_hash(entry: bytes) -> bytes:
    """The 32 octets that stand for one entry; a leaf can never pass for a node."""
    return sha256(LEAF + entry).digest()


def root(hashes: Sequence[bytes]) -> bytes:
    """The tree's root, 32 octets, over leaf hashes in their order; of no leaves the hash of nothing.

    Pairing the nodes of each level and carrying an odd last one up gives the tree of RFC 6962, whose left half
    is the largest power of two below the number of leaves.
    """
    level = list(hashes)
    if not level:
        return sha256().digest()
    while len(level) > 1:
        above = [sha256(NODE + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=False)]
        level = above + level[len(above) * 2 :]
    return level[0]
