"""What services answer when they refuse: not permitted, not acceptable, not possible in the present state."""

from meterwire.errors import MeterspanError


class Forbidden(MeterspanError):
    """The acting user's role does not allow this, or not here."""

    code = "forbidden"


class Invalid(MeterspanError):
    """A value cannot be accepted; `field` names the argument it came in."""

    code = "invalid"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Conflict(MeterspanError):
    """Well-formed, but it contradicts what is already there; look again and decide anew."""

    code = "conflict"
