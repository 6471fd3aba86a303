"""`manage.py label DEVEUI`: prints one adapter's label to standard output."""

import json
import sys
from pathlib import Path
from typing import Any, Final

from django.core.checks import Tags
from django.core.management.base import BaseCommand, CommandError, CommandParser

from meterwire import ndef
from meterwire.errors import MeterspanError
from meterwire.ids import DevEUI
from provisioning.accounts.actors import System
from provisioning.fleet.models import Adapter
from provisioning.labels.render import label_pdf, label_svg, label_text, label_zpl
from provisioning.labels.services import PrintLabel, print_labels

FORMATS: Final = ("text", "svg", "pdf", "zpl", "ndef")


class Command(BaseCommand):
    help = "Print the label of an adapter; it carries the owner token, so treat it like the adapter itself."
    requires_system_checks = [Tags.security]  # it shows no pages and need not load them

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("dev_eui", metavar="DEVEUI")
        parser.add_argument("--format", choices=FORMATS, default="text", help="default: text")
        parser.add_argument("--out", type=Path, metavar="FILE", help="instead of standard output; mode 0600")
        parser.add_argument(
            "--reissue", action="store_true", help="a new owner token; the old label proves nothing more"
        )
        parser.add_argument("--json", action="store_true", help="text, SVG or ZPL inside one JSON object")

    def handle(self, *, dev_eui: str, format: str, out: Path | None, reissue: bool, json: bool, **_: Any) -> None:
        try:
            adapter = Adapter.objects.select_related("organisation").get(
                dev_eui=str(DevEUI.parse(dev_eui)), archived_at=None
            )
            label = print_labels(System("label"), adapter.organisation, [adapter], reissue=reissue)[0]
        except Adapter.DoesNotExist:
            raise CommandError(f"No adapter {dev_eui} is registered.", returncode=2) from None
        except MeterspanError as error:
            hint = " Add --reissue for a new label." if error.code == "conflict" else ""
            raise CommandError(f"{error}{hint}", returncode=2) from None
        content = _content(label, format)
        if json:
            content = _json(label, format, content)
        if out is not None:
            try:
                _write(out, content)
            except OSError as error:
                raise CommandError(f"{out} cannot be written: {error.strerror}.", returncode=2) from None
            return
        _to_stdout(self, content)


def _content(label: PrintLabel, form: str) -> bytes:
    if form == "pdf":
        return label_pdf(label)
    if form == "ndef":
        return ndef.encode(label.text)
    return {"svg": label_svg, "zpl": label_zpl, "text": label_text}[form](label).encode()


def _json(label: PrintLabel, form: str, content: bytes) -> bytes:
    shown = content.hex() if form in ("pdf", "ndef") else content.decode()
    return (
        json.dumps({"dev_eui": label.dev_eui, "serial": label.serial, "format": form, "content": shown}).encode()
        + b"\n"
    )


def _to_stdout(command: BaseCommand, content: bytes) -> None:
    stream = getattr(command.stdout, "_out", sys.stdout)
    binary = getattr(stream, "buffer", None)
    if binary is not None:
        binary.write(content)
        binary.flush()
    else:
        command.stdout.write(content.decode("latin-1"), ending="")


def _write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_bytes(content)
