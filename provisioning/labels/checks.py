"""System checks: whether labels can be printed with what the settings say."""

import re
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error


def label_profile(**_: Any) -> list[CheckMessage]:
    """labels.E001: LABEL_PROFILE is no TR005 profile id."""
    if re.fullmatch("[0-9A-F]{8}", settings.LABEL_PROFILE, re.ASCII):
        return []
    hint = "Set MSPAN_LABEL_PROFILE to the LoRa Alliance vendor id (4 digits) and your profile (4 digits)."
    return [Error("The profile id of labels is not 8 upper-case hex digits.", hint=hint, id="labels.E001")]
