"""Finds values that occur twice in a file without keeping any of them: twelve bytes per value, whatever its length."""

import secrets
from array import array
from collections.abc import Iterator
from hashlib import blake2b
from typing import Final

_PARTS: Final = 16  # looked through one after the other, so that only a part is ever unfolded


class Seen:
    """Keyed fingerprints of values and where they stand; the key is forgotten with the object."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(16)
        self._prints, self._places = array("Q"), array("I")

    def add(self, value: bytes, place: int) -> None:
        """Note that `value` stands at `place` (below 2**32)."""
        digest = blake2b(value, digest_size=8, key=self._key).digest()
        self._prints.append(int.from_bytes(digest, "big"))
        self._places.append(place)

    def repeated(self) -> Iterator[tuple[int, int]]:
        """(place, another place with the same value) for every place that is not alone with its value."""
        for part in range(_PARTS):
            first: dict[int, int] = {}
            told: set[int] = set()
            for fingerprint, place in zip(self._prints, self._places, strict=True):
                if fingerprint % _PARTS != part:
                    continue
                other = first.setdefault(fingerprint, place)
                if other == place:
                    continue
                yield place, other
                if fingerprint not in told:
                    told.add(fingerprint)
                    yield other, place
