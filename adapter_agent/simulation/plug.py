"""Where a meter's wire is plugged in; two of them can be mixed up, as people in cellars do."""

from adapter_agent.simulation.meters import Line


class Plug:
    """A line that can be exchanged for another while a meter talks."""

    def __init__(self, line: Line) -> None:
        self.line = line

    def write(self, data: bytes) -> None:
        self.line.write(data)

    def swap(self, other: "Plug") -> None:
        """Each talks into the other's line from now on."""
        self.line, other.line = other.line, self.line
