"""Identifiers as value types: radio (EUI-64), meters (DIN 43863-5, SML, OMS) and the German energy market."""

from meterwire.ids.eic import Eic
from meterwire.ids.eui import DevEUI, Eui64, GatewayEUI, JoinEUI
from meterwire.ids.market import MaloId, MarketId, MeloId, MpId, NeloId, SrId, TrId
from meterwire.ids.meter import SECTORS, MeterId, flag_letters, flag_number
from meterwire.ids.server import ServerId, meter_id_of

__all__ = [
    "SECTORS",
    "DevEUI",
    "Eic",
    "Eui64",
    "GatewayEUI",
    "JoinEUI",
    "MaloId",
    "MarketId",
    "MeloId",
    "MeterId",
    "MpId",
    "NeloId",
    "ServerId",
    "SrId",
    "TrId",
    "flag_letters",
    "flag_number",
    "meter_id_of",
]
