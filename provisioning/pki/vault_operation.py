"""What the vault process does for certificates: sign for an approved enrolment, sign due lists, and nothing else."""

from collections.abc import Mapping
from typing import Final

from provisioning.keys.vault_operations import Nothing, Operation
from provisioning.pki.services.issue import ISSUE, IssueFor, run_issue
from provisioning.pki.services.lists import REFRESH, run_refresh

OPERATIONS: Final[Mapping[str, Operation]] = {
    ISSUE: Operation(IssueFor, run_issue),
    REFRESH: Operation(Nothing, run_refresh),
}
