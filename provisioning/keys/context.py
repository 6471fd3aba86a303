"""What a sealed key is bound to, so that a copied or moved row does not open."""

import struct

from provisioning.keys.models import DeviceKey

VAULT, INTAKE = 1, 2  # first byte of the sealed form


def context(row: DeviceKey, form: int) -> bytes:
    """Associated data: form, organisation, adapter, version, purpose, partner."""
    numbers = struct.pack(">BQQI", form, row.organisation_id, row.adapter_id, row.version)
    return b"mspan device key v1|" + numbers + f"{row.purpose}|{row.partner}".encode()
