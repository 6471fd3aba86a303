"""Outputs, which a control telegram acts on; a new one is a copied module and one line in the registry."""

from collections.abc import Mapping
from typing import Final

from adapter_agent.output.base import OutputKind

__all__ = ["OUTPUTS"]

OUTPUTS: Final[Mapping[str, OutputKind]] = {}
