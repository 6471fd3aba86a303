"""Who can act: a person, a program by its token, or a part of the system itself."""

from dataclasses import dataclass

from provisioning.accounts.models import ApiToken, User


@dataclass(frozen=True, slots=True)
class System:
    """A daemon or a command of the portal; `name` is what the audit shows. Never made from a request."""

    name: str


Actor = User | ApiToken | System


def user_of(actor: Actor) -> User | None:
    """The person behind an actor; None for the system."""
    if isinstance(actor, System):
        return None
    return actor.user if isinstance(actor, ApiToken) else actor


def name_of(actor: Actor) -> str:
    """How the audit names an actor: email, email and token, or the part of the system."""
    if isinstance(actor, System):
        return actor.name
    return f"{actor.user.email} by token {actor.prefix}" if isinstance(actor, ApiToken) else actor.email
