"""Adapters with labels, the scans of them and of meters, and a small photo."""

from io import BytesIO
from typing import Any

from PIL import Image

from meterwire.ids import DevEUI, JoinEUI
from meterwire.label import Label
from provisioning.fleet.models import Adapter
from provisioning.labels.services import adopt_token
from provisioning.pairing.services import ClaimRequest
from tests.cast import STAGE

METER = "1 EMH 00 1234 5678"
TOKEN = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def label_of(adapter: Adapter, token: str | None = TOKEN) -> str:
    """What the QR code on the adapter says."""
    return Label(JoinEUI.parse(adapter.join_eui), DevEUI.parse(adapter.dev_eui), "000A000B", token).format()


def labelled(adapter: Adapter, meter: str = METER, token: str = TOKEN, **said: Any) -> ClaimRequest:
    """The adapter gets a label; the request of somebody who scans it and the meter."""
    adopt_token(STAGE, adapter, token)
    return ClaimRequest(label_of(adapter, token), meter, **said)


def picture(width: int = 40, height: int = 30, kind: str = "JPEG", **options: Any) -> bytes:
    """A photo of that size."""
    out = BytesIO()
    Image.new("RGB", (width, height), "navy").save(out, kind, **options)
    return out.getvalue()
