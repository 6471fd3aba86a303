"""People who are about to set up factors, behind the browser's back.

They belong to an organisation of their own, so that the other pages' counts stay as they are.
"""

from typing import Any

from tests.browser.stage import hashed

SLUG = "weststadt"


def person(name: str, role: str) -> dict[str, Any]:
    """Somebody with a password and nothing else."""
    from provisioning.accounts.models import Organisation, User
    from provisioning.accounts.services import add_member, create_organisation
    from tests.cast import STAGE

    organisation = Organisation.objects.filter(slug=SLUG).first() or create_organisation(STAGE, "Weststadt Werke", SLUG)
    member = add_member(STAGE, organisation, f"{name.lower()}@weststadt.example", role, first_name=name)
    User.objects.filter(pk=member.user.pk).update(password=hashed())
    return {"email": member.user.email}


def age(email: str, minutes: int) -> dict[str, Any]:
    """Time passes in the sessions of that person: what was shown was shown so many minutes earlier."""
    from django.contrib.sessions.backends.db import SessionStore
    from django.contrib.sessions.models import Session

    from provisioning.accounts.freshness import SESSION_KEY
    from provisioning.accounts.models import User

    user = User.objects.get(email=email)
    for row in Session.objects.all():
        session = SessionStore(row.session_key)
        if session.get("_auth_user_id") == str(user.pk) and SESSION_KEY in session:
            session[SESSION_KEY] = {kind: at - minutes * 60 for kind, at in session[SESSION_KEY].items()}
            session.save()
    return {}


def ask(email: str) -> dict[str, Any]:
    """That person asks for an approval."""
    from provisioning.accounts.models import User
    from provisioning.approvals.services import request

    user = User.objects.get(email=email)
    organisation = user.memberships.get().organisation
    summary = "Reveal the join key of adapter 70B3 D57E D106 1234"
    row = request(user, organisation, "key.reveal", "devicekey 12", summary, "The supplier's file was damaged")
    return {"approval": row.pk}
