"""The ends of the audit chains, kept outside of the database every night: one line of JSON per organisation."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

import msgspec
from django.conf import settings
from django.core.mail import send_mail
from django.utils.translation import gettext as _

from meterwire.errors import FormatError
from provisioning.audit.models import Verification

MAX_BYTES: Final = 256 << 20
_Hex = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?\Z")]


class Anchor(msgspec.Struct, frozen=True):
    """Where a chain ended: its number of entries and the seal of the last one. Tells nothing about what is in it."""

    organisation: str
    at: str
    entries: Annotated[int, msgspec.Meta(ge=0)]
    head: _Hex


def keep(rows: Iterable[Verification]) -> None:
    """Write the sound ones of a night to the anchor file and mail them, where the settings say so.

    OSError when the file cannot be written or the mail server does not take it.
    """
    anchors = [_anchor(row) for row in rows if row.broken is None]
    lines = b"".join(msgspec.json.encode(anchor) + b"\n" for anchor in anchors)
    if not lines:
        return
    try:
        if settings.AUDIT_ANCHOR_FILE:
            _append(Path(settings.AUDIT_ANCHOR_FILE), lines)
    finally:  # a full disk takes the mail with it no more than the other way round
        if settings.AUDIT_ANCHOR_MAIL:
            text = _("Keep this message: it proves later that the audit of this day was not changed.")
            send_mail(_("Ends of the audit chains"), f"{text}\n\n{lines.decode()}", None, settings.AUDIT_ANCHOR_MAIL)


def read_anchors(path: Path) -> list[Anchor]:
    """The anchors in a file, or in a mail that was saved. FormatError names the first line that is none, and refuses a
    file without any: it would be no comparison."""
    if path.stat().st_size > MAX_BYTES:
        raise FormatError(f"the file is over {MAX_BYTES >> 20} MiB; this is no file of anchors")
    found = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if not line.startswith(b"{"):
            continue
        try:
            found.append(msgspec.json.decode(line, type=Anchor))
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise FormatError(f"line {number} is no anchor; was the file changed or cut off?") from None
    if not found:
        raise FormatError("there is no anchor in it; is it the right file, and the mail's plain text?")
    return found


def _anchor(row: Verification) -> Anchor:
    return Anchor(row.organisation.slug, row.at.isoformat(timespec="seconds"), row.entries, row.head)


def _append(path: Path, lines: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    with os.fdopen(handle, "ab") as file:
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())
