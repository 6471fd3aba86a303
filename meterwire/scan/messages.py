"""The sentence for each code, cause before cure; placeholders are named, so that a portal can translate them."""

from collections.abc import Mapping
from types import MappingProxyType

MESSAGES: Mapping[str, str] = MappingProxyType(
    {
        "adapter": "Adapter %(dev_eui)s.",
        "adapter_unchecked": "Adapter %(dev_eui)s; its label has no checksum.",
        "meter": "Meter %(meter)s.",
        "meter_server_id": "Meter %(meter)s, by its server id.",
        "dev_eui": "Adapter %(dev_eui)s, typed: only its label's QR code carries the claim token.",
        "checksum": "The checksum of this adapter label is wrong: scan it again, or ask for a new label.",
        "shape": "This adapter label is incomplete or damaged: scan it again, or ask for a new label.",
        "legacy_urn": "This adapter label has a withdrawn form (URN:...): ask for a label that begins with LW:D0.",
        "label_version": "This adapter label has a form that is not known here (only LW:D0 is): ask for a new label.",
        "keyboard_layout": "The scanner types in another keyboard layout than this device uses: set both to the same.",
        "adapter_look_alike": "This adapter label holds letters of another alphabet: scan it, do not type it.",
        "meter_look_alike": "This meter number holds letters of another alphabet: type it again.",
        "confused": "Letters and digits are mixed up (%(faults)s): is it %(suggestion)s?",
        "sector": "A meter number does not begin with %(character)s: compare the first character with the meter.",
        "sector_missing": "The first character is missing (1 for electricity): a meter number has 14 characters.",
        "length": "A meter number has 14 characters, this has %(length)s: compare it with the meter.",
        "block": "Places 5 and 6 of a meter number are digits or A to F, not %(character)s: compare it with the meter.",
        "number": "A meter number ends with eight digits, not %(character)s: compare it with the meter.",
        "number_only": "These are only the last eight digits: type all 14 characters, as in 1 EMH 00 1234 5678.",
        "several_meters": "This code names several meters: type the number of the one in front of you.",
        "several_adapters": "Several adapter labels were read at once: scan one at a time.",
        "ean": "This is the barcode of a product's package: scan the label of the device itself.",
        "url": "This is a link to a web page: scan the label of the device itself.",
        "wifi": "This is the code of a wireless network: scan the label of the device itself.",
        "contact": "This is somebody's business card: scan the label of the device itself.",
        "key": "This looks like a secret key: it is not needed here, keep it to yourself and scan the label.",
        "malo": "This is the number of a market location (MaLo): scan or type the number on the meter.",
        "melo": "This is the number of a metering location (MeLo): scan or type the number on the meter.",
        "empty": "Nothing was read: scan again.",
        "too_long": "This code is longer than any label: at most %(limit)s characters are read.",
        "control_characters": "The code holds characters that no label has: scan again, or check the scanner.",
        "unknown": "This is no adapter label and no meter number: scan the QR code of the adapter or the meter's code.",
    }
)

FOUND: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("meter", "adapter"): "This is the meter's barcode; scan the adapter first.",
        ("adapter", "meter"): "This is the adapter's label; now scan or type the number of the meter.",
        ("dev_eui", "meter"): "This is the number of an adapter; now scan or type the number of the meter.",
        ("meter_typo", "adapter"): "This looks like a meter's number; scan the adapter first.",
        ("adapter_damaged", "meter"): "This looks like an adapter's label; now scan or type the number of the meter.",
        ("ean", "adapter"): "This is the barcode of the package; scan the QR code on the adapter itself.",
        ("ean", "meter"): "This is the barcode of a package; scan the code beside the meter's number, or type it.",
        ("unknown", "adapter"): "This is no adapter label; scan the QR code that begins with LW:D0.",
        ("unknown", "meter"): "This is no meter number; type the 14 characters as in 1 EMH 00 1234 5678.",
    }
)
