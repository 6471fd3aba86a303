"""The fields of an adapter that a supplier's file can bring, and which of its columns looks like which of them."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from provisioning.batches import cells
from provisioning.batches.cells import Cell


@dataclass(frozen=True, slots=True)
class Field:
    """`guesses`: titles under which it comes, in small letters and digits. `fixed`: one value may serve all rows."""

    name: str
    label: str | Promise
    parse: Callable[[Cell], Any]
    guesses: tuple[str, ...]
    required: bool = False
    secret: bool = False
    fixed: bool = False


FIELDS: Final[tuple[Field, ...]] = (
    Field(
        "dev_eui",
        "DevEUI",
        cells.eui,
        ("deveui", "deviceeui", "eui", "eui64", "deveuihex", "devid", "geraeteeui", "loradeveui"),
        required=True,
    ),
    Field(
        "join_eui",
        "JoinEUI",
        cells.join_eui,
        ("joineui", "appeui", "applicationeui", "joinserver", "joinservereui", "appid"),
        required=True,
        fixed=True,
    ),
    Field(
        "root_key",
        _("Root key (AppKey)"),
        cells.key,
        (
            "appkey",
            "applicationkey",
            "rootkey",
            "nwkkey",
            "otaakey",
            "loraappkey",
            "key",
            "schluessel",
            "netzschluessel",
        ),
        required=True,
        secret=True,
    ),
    Field(
        "inner_key",
        _("Inner key"),
        cells.key,
        ("innerkey", "payloadkey", "datakey", "encryptionkey", "innererschluessel", "meterkey", "nutzdatenschluessel"),
        secret=True,
    ),
    Field("inner_slot", _("Slot of the inner key"), cells.slot, ("slot", "innerslot", "keyslot", "keyid"), fixed=True),
    Field("inner_key_2", _("Second inner key"), cells.key, ("innerkey2", "payloadkey2", "secondinnerkey"), secret=True),
    Field("inner_slot_2", _("Slot of the second inner key"), cells.slot, ("slot2", "innerslot2"), fixed=True),
    Field("tag_length", _("Tag length"), cells.tag_length, ("taglength", "tag", "taglen", "innertag"), fixed=True),
    Field(
        "owner_token",
        _("Owner token"),
        cells.token,
        ("ownertoken", "claimtoken", "claimcode", "token", "pin", "claimingcode"),
        secret=True,
    ),
    Field(
        "serial",
        _("Serial number"),
        cells.serial,
        ("serial", "serialnumber", "serialno", "serialnr", "sn", "seriennummer", "seriennr", "fabriknummer"),
    ),
    Field(
        "location",
        _("Where it hangs"),
        cells.location,
        ("location", "place", "position", "ort", "einbauort", "standort", "comment", "bemerkung", "note"),
    ),
    Field(
        "lorawan",
        _("LoRaWAN version"),
        cells.lorawan,
        ("lorawan", "lorawanversion", "macversion", "lwversion", "version", "lorawanmac"),
        fixed=True,
    ),
    Field("kind", _("Kind"), cells.kind, ("kind", "devicekind", "art"), fixed=True),
    Field(
        "period_s",
        _("Seconds between telegrams"),
        cells.period_s,
        ("periods", "period", "interval", "sendeintervall", "intervall", "reportinginterval"),
        fixed=True,
    ),
    Field(
        "data_rate",
        _("Data rate of its first slot"),
        cells.data_rate,
        ("datarate", "dr", "spreadingfactor", "sf", "datenrate", "spreizfaktor"),
        fixed=True,
    ),
)
BY_NAME: Final[Mapping[str, Field]] = {field.name: field for field in FIELDS}
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})


def plain_title(title: str) -> str:
    """A title reduced to small letters and digits, by which titles are compared."""
    return re.sub("[^a-z0-9]", "", title.lower().translate(_UMLAUTS))


def suggest(titles: Sequence[str], saved: Mapping[str, str]) -> dict[str, str]:
    """Our field -> title: as saved for the supplier where that title is there, else by its usual names."""
    plain: dict[str, str] = {}
    for title in titles:
        plain.setdefault(plain_title(title), title)
    found: dict[str, str] = {}
    for name, title in saved.items():
        if name in BY_NAME and plain_title(title) in plain:
            found[name] = plain[plain_title(title)]
    for look in (_exactly, _nearly):
        for field in FIELDS:
            if field.name in found or (saved and field.name not in saved and not field.required):
                continue
            free = {short: title for short, title in plain.items() if title not in found.values()}
            match = look(field, free)
            if match:
                found[field.name] = match
    return found


def nearest(title: str, titles: Sequence[str]) -> str:
    """The title of the file that looks most like a missing one; empty when none does."""
    plain = {plain_title(one): one for one in titles}
    close = get_close_matches(plain_title(title), plain, n=1, cutoff=0.6)
    return plain[close[0]] if close else ""


def _exactly(field: Field, free: Mapping[str, str]) -> str:
    return next((free[guess] for guess in (*field.guesses, plain_title(field.name)) if guess in free), "")


def _nearly(field: Field, free: Mapping[str, str]) -> str:
    for guess in field.guesses:
        if len(guess) > 4:
            close = get_close_matches(guess, free, n=1, cutoff=0.85)
            if close:
                return free[close[0]]
    return ""
