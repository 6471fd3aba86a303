"""Words of the screens on which something is scanned, typed or added."""

from django.utils.translation import gettext as _


def words() -> dict[str, str]:
    """Key in the scripts -> text in the current language."""
    return {**_scanning(), **_camera(), **_typing(), **_adding()}


def _scanning() -> dict[str, str]:
    return {
        "adapter": _("Adapter"),
        "adapter field": _("Text of the adapter's label"),
        "adapter text": _("The QR code on the adapter begins with LW:D0."),
        "adapter title": _("Scan the adapter"),
        "meter": _("Meter"),
        "meter field": _("Number of the meter"),
        "meter text": _("Its number, as a barcode or in 14 characters, is on the meter's face."),
        "meter title": _("Scan the meter"),
        "nfc.denied": _(
            "The phone does not allow reading tags here. Allow NFC for this page in the browser's settings."
        ),
        "nfc.hold": _("Hold the phone's back to the adapter's tag."),
        "nfc.off": _("NFC is switched off or not ready. Switch it on in the phone's settings, then try again."),
        "nfc.unreadable": _("The tag holds no label text. Hold it still, or scan the printed label."),
        "photo": _("Photo"),
        "photo.broken": _("This file is no picture that the browser can open. Take another one."),
        "photo.nothing": _("No code is seen in this photo. Take it closer, straight and without glare."),
        "photo.reading": _("The photo is searched for a code."),
        "torch": _("Torch"),
        "type": _("Type it instead"),
        "use": _("Use this"),
    }


def _camera() -> dict[str, str]:
    return {
        "camera": _("Camera"),
        "camera.again": _("Try the camera again"),
        "camera.asking": _("Allow the camera: the browser asks you now"),
        "camera.busy": _("The camera is in use"),
        "camera.busy.why": _("Another app or window holds it. Close that one, then try again."),
        "camera.decoder": _("The reader for codes is not on this phone yet"),
        "camera.decoder.why": _("It is fetched once, with network. Open this page where there is some."),
        "camera.denied": _("The camera is not allowed"),
        "camera.denied.why": _(
            "Tap the lock or the settings sign beside the address, allow the camera for this page, then try again."
        ),
        "camera.equals": _("You can do the same by typing, with a photo, or with a reader that types."),
        "camera.found": _("Found"),
        "camera.insecure": _("No camera on this page"),
        "camera.insecure.why": _(
            "Browsers give the camera to pages with https:// only. Ask your administrator for the portal's secure"
            " address."
        ),
        "camera.loading": _("The reader is being loaded"),
        "camera.looking.adapter": _("Hold the adapter's label inside the frame"),
        "camera.looking.meter": _("Hold the meter's code inside the frame"),
        "camera.none": _("No camera was found"),
        "camera.none.why": _("This device has none, or it is switched off."),
        "camera.picture": _("What the camera sees"),
        "which camera": _("Which camera"),
    }


def _typing() -> dict[str, str]:
    return {
        "type.adapter": _("Type the text below the QR code, or let a reader type it."),
        "type.block": _("Place {n} is a digit or a letter from A to F, not {character}."),
        "type.count": _("{n} of 14 characters"),
        "type.eui": _("{n} of 16 characters of the adapter's number"),
        "type.label": _("{n} characters; the last four are checked"),
        "type.maker": _("Place {n} is a letter of the maker, as in EMH, not {character}."),
        "type.meter": _("As on its face, such as 1 EMH 00 1234 5678. Blanks and small letters do not matter."),
        "type.number": _("Place {n} is a digit, not {character}."),
        "type.ok": _("Looks right: {what}"),
        "type.sector": _("It begins with 1 for electricity, 7 for gas, 8 for water; not with {character}."),
    }


def _adding() -> dict[str, str]:
    return {
        "1st floor": _("1st floor"),
        "2nd floor": _("2nd floor"),
        "3rd floor": _("3rd floor"),
        "add photo": _("Take a photo"),
        "cellar": _("Cellar"),
        "details title": _("Anything to add?"),
        "display": _("What its display shows"),
        "display why": _("It will stand beside the first reading, so that you see at once whether they agree."),
        "display wrong": _("A number such as 12345.6, with at most three decimals."),
        "drop photo": _("Remove"),
        "ground floor": _("Ground floor"),
        "input": _("Input of the adapter"),
        "input why": _("0, unless the adapter reads several meters."),
        "note": _("Where it hangs"),
        "optional": _("optional"),
        "photo kept": _("Kept; it is sent after the pairing."),
        "photo of meter": _("Photo of the meter"),
        "send": _("Pair now"),
        "send later": _("Keep, and pair when there is network"),
        "several meters": _("Adapter with several inputs"),
        "unit": _("Unit"),
    }
