"""Every change to labels: permission, change, audit, in one transaction. Owner tokens come out on labels only."""

from provisioning.labels.services.change import (
    Adopted,
    adopt_token,
    adopt_tokens,
    consume,
    issue_token,
    matches,
)
from provisioning.labels.services.printing import PrintLabel, open_label, print_labels

__all__ = [
    "Adopted",
    "PrintLabel",
    "adopt_token",
    "adopt_tokens",
    "consume",
    "issue_token",
    "matches",
    "open_label",
    "print_labels",
]
