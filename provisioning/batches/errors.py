"""What is wrong with a file as a whole, and with one cell of it."""

from provisioning.errors import Invalid


class FileRefused(Invalid):
    """The file cannot be read as a table; the message says why and what to do."""

    code = "file_refused"

    def __init__(self, message: str, field: str = "file") -> None:
        super().__init__(field, message)


class FileTooLarge(FileRefused):
    """More bytes than are read at all."""

    code = "file_too_large"


class CellError(Exception):
    """What is wrong with a cell: a stable code, and a sentence that never shows a key."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message
