"""Adapter radios; a new one is a copied module and one line in the registry."""

from collections.abc import Mapping
from typing import Final

from adapter_agent.radio.base import RadioKind
from adapter_agent.radio.virtual import VirtualConfig, VirtualRadio

__all__ = ["RADIOS"]

RADIOS: Final[Mapping[str, RadioKind]] = {
    "virtual": RadioKind(VirtualConfig, VirtualRadio),
}
