"""Trying again less and less often. Times are the clock's monotonic seconds."""


class Pace:
    """`due` is when to do it next; each `later` waits `factor` times longer than the one before, up to `longest_s`."""

    def __init__(self, first_s: float, longest_s: float, factor: float = 2.0) -> None:
        self.due, self.count = 0.0, 0
        self._first_s, self._longest_s, self._factor = first_s, longest_s, factor
        self._pause_s = first_s

    def restart(self, due: float) -> None:
        """Begin anew, the first time at `due`."""
        self.due, self.count, self._pause_s = due, 0, self._first_s

    def later(self, now: float, least_s: float = 0.0) -> None:
        """It was done at `now`; not again before `least_s` have passed."""
        self.due = now + max(self._pause_s, least_s)
        self._pause_s = min(self._pause_s * self._factor, self._longest_s)
        self.count += 1
