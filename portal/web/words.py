"""The words that scripts show, in the page's language; the page carries them as one JSON block."""

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from provisioning.accounts.models import Role

_ROLES: dict[str, str | Promise] = {
    Role.VIEWER: gettext_lazy("Viewer"),
    Role.INSTALLER: gettext_lazy("Installer"),
    Role.OPERATOR: gettext_lazy("Operator"),
    Role.CUSTODIAN: gettext_lazy("Key custodian"),
    Role.AUDITOR: gettext_lazy("Auditor"),
    Role.ADMINISTRATOR: gettext_lazy("Administrator"),
}


def words() -> dict[str, str]:
    """Key in the scripts -> text in the current language."""
    return {
        "ago": _("{time} ago"),
        "copied": _("{what} copied"),
        "live": _("live"),
        "reconnecting": _("reconnecting"),
        "on time": _("on time"),
        "time": _("Time"),
        "sealed": _(
            "The values of this stretch of time are sealed for somebody else; only their counters are seen here."
        ),
        "closed": _("These values are stored sealed. Say what you open them for; the audit keeps it."),
        "opened": _("Opened for this page; the audit has noted it."),
        "nothing": _("No values in this stretch of time."),
        "map failed": _("The map could not be fetched. The list below says the same."),
        "map turns": _("{n} of {of} turns in one place"),
        "map unnamed": _("an adapter of a site that is not yours"),
        "failed": _("The values could not be fetched. They are asked for again in a few seconds."),
    }


def role_name(role: str) -> str:
    """A role in the current language."""
    return str(_ROLES.get(role, role))
