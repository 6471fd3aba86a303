"""The one permission matrix: which role may do what, and the questions services and pages ask of it."""

from collections.abc import Mapping
from typing import Final, Literal, get_args

from django.utils.translation import gettext as _

from provisioning.accounts.actors import Actor, System, user_of
from provisioning.accounts.models import ApiToken, Membership, Organisation, Role
from provisioning.errors import Forbidden

Action = Literal[
    "fleet.view",
    "fleet.edit",
    "fleet.install",
    "concentrator.manage",
    "readings.view",
    "readings.export",
    "telemetry.diagnose",
    "pairing.create",
    "pairing.end",
    "pairing.unblock",
    "labels.print",
    "batches.import",
    "keys.view",
    "keys.issue",
    "keys.import",
    "keys.lifecycle",
    "keys.reveal",
    "keys.rotate",
    "keys.approve",
    "pki.view",
    "pki.enrol",
    "pki.manage",
    "concentrator.revoke",
    "readings.open",
    "audit.view",
    "accounts.view",
    "accounts.manage",
    "token.own",
]

_LETTERS: Final = {
    "V": Role.VIEWER,
    "I": Role.INSTALLER,
    "O": Role.OPERATOR,
    "C": Role.CUSTODIAN,
    "U": Role.AUDITOR,
    "A": Role.ADMINISTRATOR,
}
# Nobody has everything: the administrator cannot reveal keys, the custodian cannot change the fleet.
_TABLE: Final[Mapping[Action, str]] = {
    "fleet.view": "VIOCUA",  # sites, metering points, meters, adapters, concentrators, pairings
    "fleet.edit": "--O--A",  # create, change, move, archive them
    "fleet.install": "-IO--A",  # metering points and meters on the spot
    "concentrator.manage": "--O--A",  # register, approve its key, reset its password
    "readings.view": "VIO--A",
    "readings.export": "V-O--A",
    "telemetry.diagnose": "-IOCUA",  # refused frames, radio figures, raw telegrams
    "pairing.create": "-IO--A",
    "pairing.end": "--O--A",  # unpair, replace, move, resolve a mismatch
    "pairing.unblock": "--O--A",  # let somebody scan again who gave too many wrong owner tokens
    "labels.print": "--OC-A",  # labels carry owner tokens
    "batches.import": "--OC--",  # a supplier's file of adapters and their keys
    "keys.view": "--OCUA",  # which keys there are, never their value
    "keys.issue": "--OC--",  # let new ones be made
    "keys.import": "--OC--",  # hand in existing ones, such as a foreign device's
    "keys.lifecycle": "---C--",  # activate, retire, revoke, destroy
    "keys.reveal": "---C--",  # write a key file for a device
    "keys.rotate": "---C--",  # campaigns: which keys are replaced when
    "keys.approve": "---C--",  # the second pair of eyes; never one's own request
    "pki.view": "--OCUA",  # certificates, their life and their revocation
    "pki.enrol": "--OC-A",  # one-time passwords, and who may have a certificate
    "pki.manage": "---C--",  # authorities: make, import, publish lists of revoked certificates
    "concentrator.revoke": "--OC-A",  # its certificate and its account, now
    "readings.open": "V-O---",  # values of an organisation that stores them sealed
    "audit.view": "----UA",
    "accounts.view": "----UA",
    "accounts.manage": "-----A",
    "token.own": "VIOCUA",  # tokens for one's own programs
}
MATRIX: Final[Mapping[Action, frozenset[Role]]] = {
    action: frozenset(_LETTERS[letter] for letter in letters if letter != "-") for action, letters in _TABLE.items()
}
# What a custodian does in person, with a passkey that was just shown; a token cannot show one.
IN_PERSON: Final[frozenset[Action]] = frozenset(
    {"keys.issue", "keys.import", "keys.lifecycle", "keys.reveal", "keys.rotate", "keys.approve", "pki.manage"}
)
ACTIONS: Final[tuple[Action, ...]] = get_args(Action)
READING_ACTIONS: Final[frozenset[Action]] = frozenset(
    {
        "fleet.view",
        "readings.view",
        "readings.export",
        "telemetry.diagnose",
        "keys.view",
        "pki.view",
        "audit.view",
        "accounts.view",
    }
)


def allows(role: str, action: Action) -> bool:
    """Whether the matrix grants `action` to `role`."""
    return role in MATRIX[action]


def roles_with(action: Action) -> frozenset[Role]:
    """The roles that the matrix grants `action` to."""
    return MATRIX[action]


def membership_of(actor: Actor, organisation: Organisation | int) -> Membership | None:
    """The membership under which `actor` acts in `organisation`; None for an outsider, a blocked user, the system."""
    user = user_of(actor)
    organisation_id = organisation if isinstance(organisation, int) else organisation.pk
    if user is None or not user.is_active or not user.is_authenticated:
        return None
    if isinstance(actor, ApiToken) and (actor.organisation_id != organisation_id or actor.revoked_at is not None):
        return None
    return Membership.objects.filter(user_id=user.pk, organisation_id=organisation_id).first()


def grants(actor: Actor, membership: Membership | None, action: Action) -> bool:
    """Whether that membership, narrowed by the token's role when the actor is one, allows `action`.

    A custodian's token reads about keys; it never changes them.
    """
    if membership is None or not allows(membership.role, action):
        return False
    if isinstance(actor, ApiToken):
        if action in IN_PERSON and Role.CUSTODIAN in {membership.role, actor.role}:
            return False
        return allows(actor.role, action) and (not actor.read_only or action in READING_ACTIONS)
    return True


def may(actor: Actor, organisation: Organisation | int, action: Action) -> bool:
    """Whether `actor` may do `action` in `organisation`. The system may; its commands and daemons decide themselves."""
    if isinstance(actor, System):
        return True
    return grants(actor, membership_of(actor, organisation), action)


def require(actor: Actor, organisation: Organisation | int, action: Action) -> None:
    """Raise Forbidden unless `actor` may do `action` in `organisation`."""
    if not may(actor, organisation, action):
        raise Forbidden(_("Your role does not allow this here; ask an administrator of the organisation for it."))
