"""Looks into a workbook's archive before anything of it is used: bombs, macros, passwords, sizes that lie."""

import re
import zipfile
import zlib
from typing import BinaryIO, Final

from django.utils.translation import gettext as _

from provisioning.batches.errors import FileRefused

MAX_MEMBERS: Final = 500
MAX_UNPACKED: Final = 128 * 2**20  # 100,000 rows of ten columns have some 60 MB
MAX_STRINGS: Final = 48 * 2**20  # the table of shared strings is held in memory
MAX_OTHER: Final = 8 * 2**20
MAX_RATIO: Final = 100
BROKEN: Final = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)

_RATIO_FROM: Final = 2**20
_BLOCK: Final = 1 << 16
_HEADER: Final = 30
_METHODS: Final = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_SHEET = re.compile(r"xl/worksheets/[^/]+\.xml", re.IGNORECASE)


def inspect(file: BinaryIO) -> None:
    """Raise FileRefused unless this is a workbook that may be unpacked."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except (*BROKEN, ValueError, OSError, KeyError):
        raise damaged() from None
    if len(members) > MAX_MEMBERS:
        raise FileRefused(
            _("The workbook has more than {limit} parts; save the table alone as .xlsx.").format(limit=MAX_MEMBERS)
        )
    names = {member.filename.lower() for member in members}
    if any("vbaproject" in name or "macrosheets/" in name for name in names):
        raise FileRefused(_("A workbook with macros is not read; save it as .xlsx without macros, or as .csv."))
    if "xl/workbook.xml" not in names:
        raise FileRefused(_("This archive is no XLSX workbook; export the table as XLSX or CSV."))
    if len(names) != len(members):
        raise damaged()
    for member in members:
        _bounds(member)
    if sum(member.file_size for member in members) > MAX_UNPACKED:
        raise bomb()
    for member in members:
        _measure(file, member)
    file.seek(0)


def bomb() -> FileRefused:
    return FileRefused(
        _("Unpacked, this workbook would be far larger than a table of adapters; save the table alone, or as .csv.")
    )


def damaged() -> FileRefused:
    return FileRefused(_("The workbook is damaged or not a real one; open it and save it anew as .xlsx, or as .csv."))


def _bounds(member: zipfile.ZipInfo) -> None:
    if member.flag_bits & 1:
        raise FileRefused(_("The workbook is protected by a password; save it without one."))
    if member.compress_type not in _METHODS:
        raise damaged()
    if member.file_size > _RATIO_FROM and member.file_size > MAX_RATIO * max(member.compress_size, 1):
        raise bomb()
    limit = MAX_UNPACKED if _SHEET.fullmatch(member.filename) else MAX_OTHER
    if member.filename.lower() == "xl/sharedstrings.xml":
        limit = MAX_STRINGS
    if member.file_size > limit:
        raise bomb()


def _measure(file: BinaryIO, member: zipfile.ZipInfo) -> None:
    """Unpack piece by piece and count: zipfile unpacks a whole part before it cuts it to its announced size."""
    file.seek(member.header_offset)
    header = file.read(_HEADER)
    if len(header) != _HEADER or header[:4] != b"PK\x03\x04":
        raise damaged()
    file.seek(int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little"), 1)
    if member.compress_type == zipfile.ZIP_STORED:
        if member.compress_size != member.file_size:
            raise damaged()
        return
    inflate, left, size = zlib.decompressobj(-zlib.MAX_WBITS), member.compress_size, 0
    while not inflate.eof:
        packed = inflate.unconsumed_tail
        if not packed:
            packed = file.read(min(_BLOCK, left))
            left -= len(packed)
        if not packed:
            raise damaged()
        try:
            size += len(inflate.decompress(packed, _BLOCK))
        except zlib.error:
            raise damaged() from None
        if size > member.file_size:
            raise bomb()
