"""What a sealed key is bound to, so that a copied or moved row does not open."""

import struct

from provisioning.keys.models import DeviceKey

VAULT, INTAKE, WAITING, SYSTEM, SECRET = 1, 2, 3, 4, 5  # first byte of the sealed form


def context(row: DeviceKey, form: int) -> bytes:
    """Associated data: form, organisation, adapter, version, purpose, partner."""
    numbers = struct.pack(">BQQI", form, row.organisation_id, row.adapter_id, row.version)
    return b"mspan device key v1|" + numbers + f"{row.purpose}|{row.partner}".encode()


def waiting_context(organisation_id: int, dev_eui: str, version: int, purpose: str, partner: str) -> bytes:
    """The same for a key whose adapter has no row yet: the DevEUI stands for it."""
    numbers = struct.pack(">BQI", WAITING, organisation_id, version)
    return b"mspan waiting key v1|" + numbers + f"{dev_eui}|{purpose}|{partner}".encode()


def secret_context(place: bytes, form: int) -> bytes:
    """The same for a secret that is no device key; `place` names its kind, row and column."""
    return b"mspan secret v1|" + bytes([form]) + place
