"""The one exception tree: each class tells the caller what went wrong (`code`) and whether trying again can help."""

from typing import ClassVar


class MeterspanError(Exception):
    """Root of every error that this system raises on purpose.

    `str(error)` is one sentence for a person: cause, then cure. `code` is stable and machine-readable.
    `temporary` is true when the same call may succeed later.
    """

    code: ClassVar[str] = "error"
    temporary: ClassVar[bool] = False


class FormatError(MeterspanError):
    """The bytes do not follow the format: truncated, over-long or with a value outside its range."""

    code = "format"


class UnsupportedVersion(FormatError):
    """Well-formed, but of a version that this release does not know."""

    code = "unsupported_version"


class UnsupportedSecurity(FormatError):
    """Well-formed, but protected in a way that this release cannot open."""

    code = "unsupported_security"


class LimitExceeded(FormatError):
    """A peer sent more than the stated bound (depth, length, number of items)."""

    code = "limit"


class IdentifierError(FormatError):
    """A text is no identifier of the wanted kind; the message says which rule it breaks."""

    code = "identifier"


class LabelError(FormatError):
    """A scanned text is no adapter label, or a damaged one."""

    code = "label"


class AuthenticationError(MeterspanError):
    """The sender could not be authenticated. From outside all kinds look alike; the code tells the operator."""

    code = "authentication"


class TagMismatch(AuthenticationError):
    """The inner authentication tag does not fit: wrong key, wrong counter or changed bytes."""

    code = "tag_mismatch"


class MicMismatch(AuthenticationError):
    """The LoRaWAN message integrity code does not fit any known session."""

    code = "mic_mismatch"


class ReplayError(AuthenticationError):
    """The counter was used before."""

    code = "replay"


class KeyMemoryError(MeterspanError):
    """The key memory holds no key that may be used."""

    code = "no_valid_key"


class UnknownKeySlot(KeyMemoryError):
    """The telegram names a key slot for which no key is held."""

    code = "unknown_key_slot"


class CounterExhausted(MeterspanError):
    """The 32-bit counter has no value left: the key must be replaced and the adapter re-provisioned."""

    code = "counter_exhausted"


class ValueOutOfRange(MeterspanError, ValueError):
    """The caller gave a value that the field cannot carry; the message names the range."""

    code = "range"
