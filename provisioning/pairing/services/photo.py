"""The installer's photo of the meter: made small, without what the camera added, kept outside the database."""

import secrets
from io import BytesIO
from typing import IO

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils.translation import gettext as _
from PIL import Image, ImageOps, UnidentifiedImageError

from provisioning.accounts.actors import Actor
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict, Invalid
from provisioning.fleet.access import require_at
from provisioning.pairing.models import Pairing

MAX_BYTES = 4 * 1024 * 1024
MAX_PIXELS = 50_000_000
MAX_SIDE = 1600
FORMATS = ("JPEG", "PNG", "WEBP")


def set_photo(actor: Actor, pairing: Pairing, content: bytes) -> Pairing:
    """Keep a photo (JPEG, PNG or WebP) in place of an earlier one. Invalid names what is wrong with it."""
    require_at(actor, pairing.organisation_id, pairing.metering_point.site_id, "pairing.create")
    small = reduced(content)
    with audited(pairing.organisation):
        row = Pairing.objects.select_for_update(of=("self",)).get(pk=pairing.pk)
        if row.to_at is not None:
            raise Conflict(_("This pairing has ended; its photo stays as it is."))
        before = row.photo
        name = default_storage.save(f"photos/{row.pk}-{secrets.token_hex(8)}.jpg", ContentFile(small))
        Pairing.objects.filter(pk=row.pk).update(photo=name)
        record(row.organisation, actor, "pairing.photo_set", row, {"bytes": len(small)})
        # After a swap two pairings show the same photo.
        if before and not Pairing.objects.filter(photo=before).exists():
            transaction.on_commit(lambda: default_storage.delete(before))
    pairing.photo = name
    return pairing


def open_photo(pairing: Pairing) -> IO[bytes] | None:
    """The JPEG of a pairing; None when there is none."""
    if not pairing.photo or not default_storage.exists(pairing.photo):
        return None
    return default_storage.open(pairing.photo)


def reduced(content: bytes) -> bytes:
    """A JPEG of at most MAX_SIDE pixels, upright, without metadata. The size is known before a pixel is unpacked."""
    if not 0 < len(content) <= MAX_BYTES:
        raise Invalid("photo", _("A photo has at most 4 MB; take it with a lower resolution."))
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Invalid("photo", _("The photo has more pixels than are read; take it with a lower resolution."))
            image.draft("RGB", (MAX_SIDE, MAX_SIDE))
            upright = ImageOps.exif_transpose(image).convert("RGB")
            upright.thumbnail((MAX_SIDE, MAX_SIDE))
            clean = Image.new("RGB", upright.size)
            clean.paste(upright)
            out = BytesIO()
            clean.save(out, "JPEG", quality=80, optimize=True)
    except Invalid:
        raise
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise Invalid("photo", _("This is no photo that can be read: JPEG, PNG or WebP are.")) from error
    return out.getvalue()
