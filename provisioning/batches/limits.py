"""How much of a supplier's file is read; the web server refuses more before anything is read."""

from typing import Final

from django.utils.translation import gettext as _

MAX_BYTES: Final = 24 * 2**20
MAX_ROWS: Final = 100_000
MAX_COLUMNS: Final = 200


def too_large(size: int) -> str:
    """The sentence for a file above MAX_BYTES."""
    return _("The file has {size} MB; at most {limit} MB are read. Divide it into several files.").format(
        size=-(-size // 2**20), limit=MAX_BYTES // 2**20
    )
