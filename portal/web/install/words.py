"""The app's words in the current language; its page carries them as JSON, so that it speaks without network too."""

import re

from django.utils.translation import gettext as _

from meterwire.scan import MESSAGES
from meterwire.scan.messages import FOUND
from portal.web.install import words_results, words_scanning


def install_words() -> dict[str, str]:
    """Key in the scripts -> text; placeholders as {name}."""
    return {**_codes(), **_frame(), **words_scanning.words(), **words_results.words()}


def _codes() -> dict[str, str]:
    """What a scan is, in the very sentences that the portal answers with."""
    sentences = {f"code.{code}": _(text) for code, text in MESSAGES.items()}
    sentences |= {f"found.{kind}.{wanted}": _(text) for (kind, wanted), text in FOUND.items()}
    return {key: re.sub(r"%\((\w+)\)s", r"{\1}", text) for key, text in sentences.items()}


def _frame() -> dict[str, str]:
    return {
        "back": _("Back"),
        "begin anew": _("Begin anew"),
        "cancel": _("Cancel"),
        "change": _("Change"),
        "count": _("{n} so far"),
        "discard": _("Discard"),
        "discard foreign ask": _("Discard what somebody else scanned on this phone ({n})? It cannot be sent then."),
        "empty text": _(
            "Stand in front of a meter with its adapter at hand. Two scans and the pairing is on its way, also without"
            " network."
        ),
        "empty title": _("Nothing installed yet today"),
        "find site": _("Find a site"),
        "forbidden": _("Your role does not allow pairing. Ask an administrator of the organisation."),
        "foreign": _(
            "Scans of another account ({organisation}) wait on this phone: {n}. They are sent when it signs in."
        ),
        "forget draft": _("Forget the scan that was begun and start with the next adapter?"),
        "go on": _("Go on with the scan"),
        "here": _("chosen"),
        "more sites": _("and {n} more: type a part of the name"),
        "needs network": _("This needs network. Try again when there is some."),
        "new": _("Scan an adapter"),
        "new version": _("A new version of this app is ready."),
        "no site": _("There is no site yet where you may work. Ask an operator to create one."),
        "no site found": _("No site has that in its name. Without network only the sites on this phone are found."),
        "no store": _(
            "This browser keeps nothing, so a scan without network would be lost. Leave the private window, or allow"
            " this page to store data."
        ),
        "offline": _("No network. Scan as usual: everything is sent by itself later."),
        "portal": _("Portal"),
        "sign in": _("Sign in"),
        "sign out": _("Sign out"),
        "sign out ask": _("Not sent yet from this phone: {n}. Signing out deletes that."),
        "signed out": _("Sign in again; what waits on this phone is kept."),
        "site": _("Site"),
        "site text": _("The adapter gets its place there. You choose it once; it stays until you change it."),
        "site title": _("Where are you?"),
        "step of": _("{n} of {all}"),
        "today": _("My installations today"),
        "update": _("Update"),
        "waits": _("{n} installations wait to be sent."),
        "waits one": _("1 installation waits to be sent."),
    }
