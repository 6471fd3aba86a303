"""Words of the live list, and of what comes out of an installation."""

from django.utils.translation import gettext as _


def words() -> dict[str, str]:
    """Key in the scripts -> text in the current language."""
    return {**_states(), **_steps(), **_waiting(), **_found()}


def _states() -> dict[str, str]:
    return {
        "is.done": _("done"),
        "is.fail": _("wrong"),
        "is.now": _("now"),
        "is.todo": _("still to come"),
        "now.claimed": _("being claimed"),
        "now.configured": _("is configured"),
        "now.identity": _("reads the meter"),
        "now.informed": _("on its way"),
        "now.joined": _("waits for adapter"),
        "now.paired": _("being paired"),
        "now.reading": _("waits for reading"),
        "result": _("{meter}: {state}"),
        "state.compare": _("compare display"),
        "state.confirmed": _("right meter"),
        "state.ended": _("ended"),
        "state.failed": _("not accepted"),
        "state.mismatch": _("wrong meter"),
        "state.pending": _("waits for network"),
        "state.synced": _("sent"),
        "state.syncing": _("being sent"),
        "state.waiting": _("on its way"),
    }


def _steps() -> dict[str, str]:
    return {
        "outcome.match": _("It is the meter you scanned."),
        "outcome.mismatch": _("It is another meter."),
        "outcome.unreadable": _("The meter does not tell its number."),
        "stations": _("Stations of this installation"),
        "step.claimed": _("Adapter claimed"),
        "step.configured": _("Adapter configured"),
        "step.identity": _("Meter's own number read"),
        "step.informed": _("Concentrator informed"),
        "step.joined": _("Adapter joined"),
        "step.paired": _("Paired with the meter"),
        "step.reading": _("First reading"),
        "waiting": _("waiting"),
    }


def _waiting() -> dict[str, str]:
    return {
        "correct": _("Correct it"),
        "discard ask": _("Discard the installation of meter {meter}? It is not paired then."),
        "failed blocked": _("Ask an operator to let you go on, then send it again."),
        "failed text": _("Correct it and send it again, or discard it."),
        "failed title": _("The portal did not accept this"),
        "failed unknown": _("The portal gave no reason. Send it again, or ask your operator."),
        "gone": _("This installation is no longer on this phone."),
        "installation title": _("Installation"),
        "may leave": _("You may go on with the next meter, lock the phone or close this page."),
        "metering point": _("Metering point"),
        "next meter": _("Next meter"),
        "pending signed out": _("Waits until you sign in"),
        "pending text": _("It is kept on this phone and sent by itself, in order, when there is network."),
        "pending title": _("Kept on this phone"),
        "photo refused": _("The photo was not accepted: {why}"),
        "photo waits": _("The photo is still on this phone; it is sent by itself."),
        "send again": _("Send again"),
        "signed out text": _("Your session has ended. Sign in again, then it is sent by itself."),
        "synced text": _("The portal has it. The list of stations follows."),
        "syncing text": _("It is on its way to the portal."),
        "slot": _("Time slot"),
        "slot.given": _("given"),
        "slot.waits": _("comes by itself, nothing to do"),
        "tell me": _("Tell me when it is done"),
        "try now": _("Try now"),
    }


def _found() -> dict[str, str]:
    return {
        "differs": _("They differ: look at the display again, or check where the adapter sits."),
        "display asks": _("Does the display show this?"),
        "export": _("export"),
        "first reading": _("First reading"),
        "fits": _("They agree."),
        "import": _("import"),
        "it reads": _("It reads"),
        "move then operator": _(
            "Put the adapter on the meter that you scanned. Then call your operator: one click lets it be read again."
        ),
        "no": _("No"),
        "not the display": _("Then it reads another meter, or its sensor sits badly."),
        "not the display do": _(
            "Check where the adapter sits and wait for the next reading. If it still differs, call your operator before"
            " you leave."
        ),
        "other installation": _("To the other installation"),
        "quarantined": _("Its readings are kept aside and count for nobody until this is settled."),
        "resolve.accept": _("Keep the meter it reads"),
        "resolve.accept ask": _("The meter that was read takes the place of the one that was scanned."),
        "resolve.retry": _("I moved the adapter: read again"),
        "resolve.retry ask": _("The adapter reads the meter's number again."),
        "resolve.swap": _("Swap the two"),
        "resolve.swap ask": _("The two adapters exchange their metering points; both are checked again."),
        "sealed value": _("sealed"),
        "should show": _("The display should show"),
        "swap by operator": _(
            "The two adapters sit crosswise. Exchange them, or call your operator to swap them here."
        ),
        "wrong meter": _("This is another meter"),
        "yes": _("Yes"),
        "you scanned": _("You scanned"),
        "you typed": _("You typed"),
    }
