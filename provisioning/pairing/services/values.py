"""Checks of readings that people type from a display."""

from decimal import Decimal

from django.utils.translation import gettext as _

from provisioning.errors import Invalid

MAX_VALUE = Decimal(10) ** 11  # 14 digits, three of them behind the point
UNITS = ("kWh", "Wh", "MWh", "m³", "l")


def kilowatt_hours(field: str, value: Decimal | None) -> Decimal | None:
    """A reading of 0 to 11 digits before and three behind the point; None: nobody typed one."""
    if value is None:
        return None
    if not isinstance(value, Decimal) or not value.is_finite() or not 0 <= value < MAX_VALUE:
        raise Invalid(field, _("A reading is a number from 0 to 99,999,999,999.999."))
    return value.quantize(Decimal("0.001"))


def unit(field: str, value: str) -> str:
    """A unit that meters display."""
    if value not in UNITS:
        raise Invalid(field, _("The unit of a display is one of: {units}.").format(units=", ".join(UNITS)))
    return value
