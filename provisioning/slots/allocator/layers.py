"""Counts per quantum how many lie on each other: plane n of a chunk has the bits where more than n do."""


class Layers:
    """Intervals that may overlap each other, chunk by chunk; taking one away leaves the others."""

    __slots__ = ("_planes",)

    def __init__(self) -> None:
        self._planes: dict[int, list[int]] = {}

    def add(self, chunk: int, mask: int) -> None:
        planes = self._planes.setdefault(chunk, [])
        for level, plane in enumerate(planes):
            planes[level], mask = plane | mask, plane & mask
            if not mask:
                return
        planes.append(mask)

    def remove(self, chunk: int, mask: int) -> None:
        planes = self._planes[chunk]
        for level in range(len(planes) - 1, -1, -1):
            taken = planes[level] & mask
            planes[level] ^= taken
            mask ^= taken
        while planes and not planes[-1]:
            planes.pop()
        if not planes:
            del self._planes[chunk]

    def any(self, chunk: int) -> int:
        """Where at least one lies."""
        planes = self._planes.get(chunk)
        return planes[0] if planes else 0

    def planes(self, chunk: int) -> list[int]:
        return self._planes.get(chunk, [])

    def __bool__(self) -> bool:
        return bool(self._planes)
