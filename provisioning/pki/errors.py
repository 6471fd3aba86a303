"""Why no certificate is given out; each says in a sentence what to do."""

from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from meterwire.errors import MeterspanError

# What the library raises, now or when a field is looked at, for bytes that are no certificate or request.
UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


class NotRecognised(MeterspanError):
    """Neither the password nor the certificate proves who asks. The same words for every cause, as long as who asks is
    unknown."""

    code = "not_recognised"


class RequestRefused(MeterspanError):
    """The request itself cannot be granted; `fault` is a stable word for the cause."""

    code = "request_refused"

    def __init__(self, fault: str, message: str) -> None:
        super().__init__(message)
        self.fault = fault


class NotEntitled(MeterspanError):
    """Who asks is known and may not have this; `fault` is a stable word for the cause."""

    code = "not_entitled"

    def __init__(self, fault: str, message: str) -> None:
        super().__init__(message)
        self.fault = fault


class NoAuthority(MeterspanError):
    """This installation has no issuing authority, or its key cannot be used just now."""

    code = "no_authority"
    temporary = True
