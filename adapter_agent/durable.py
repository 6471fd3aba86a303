"""What the adapter asks of the place where it keeps its state."""

from typing import Protocol


class Durable(Protocol):
    """A file whose `write` is durable before it returns (edge.sealedfile.SealedFile)."""

    def read(self) -> bytes | None:
        """The content, None when there is none."""
        ...

    def write(self, content: bytes) -> None:
        """Replace the content, all or nothing."""
        ...
