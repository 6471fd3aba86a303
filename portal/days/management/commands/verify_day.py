"""`manage.py verify_day ADAPTER DAY`: checks a signed day anew from what is stored, and prints what it rests on."""

import json
from argparse import ArgumentParser
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from meterwire.errors import MeterspanError
from meterwire.ids import DevEUI
from meterwire.signed_day import begin_of, number_of
from portal.days import proofs
from portal.days.models import VERIFIED, SignedDay
from portal.days.services import judge, passed_through
from provisioning.accounts.actors import System

OPERATOR = System("manage.py verify_day")


class Command(BaseCommand):
    help = "Check the signature over a day of an adapter, and write the proof to a file if wanted."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("adapter", help="DevEUI, 16 hex digits")
        parser.add_argument("day", help="UTC day, for example 2026-01-31")
        parser.add_argument("--proof", type=Path, help="write the proof there, for somebody else to check")

    def handle(self, *, adapter: str, day: str, proof: Path | None, **_: Any) -> None:
        try:
            dev_eui, wanted = str(DevEUI.parse(adapter)), date.fromisoformat(day)
        except (MeterspanError, ValueError) as error:
            raise CommandError(str(error)) from None
        with transaction.atomic():
            rows = SignedDay.objects.select_for_update(of=("self",)).select_related("adapter__organisation")
            row = rows.filter(adapter__dev_eui=dev_eui, day=wanted).order_by("-adapter_id").first()
            if row is None:
                raise CommandError(f"No signature over {wanted} of {dev_eui} has arrived, and none was missed.")
            judge(row, timezone.now())
        self._say("day", f"{row.day} (UTC) of {dev_eui}")
        self._say("state", row.state)
        self._say("telegrams", f"{row.leaves} signed, {row.missing} without content, {row.uncovered} not covered")
        begin = begin_of(number_of(row.day))
        checked = Counter(one.fits for one in passed_through(row.adapter, begin, begin + timedelta(days=1)))
        if checked:
            told = f"{checked[True]} signatures fit, {checked[False]} are wrong, {checked[None]} without a known key"
            self._say("the meter", told)
        self._say("counters", f"{row.first_counter} to {row.last_counter}")
        if row.state not in VERIFIED:
            raise CommandError("The day is not proven.")
        found = proofs.proof(row)
        self._say("root", found["root"])
        self._say("signature", found["signature"])
        self._say("key", f"{found['curve']} {found['public_key']}, announced {found['announced_at']}")
        if proof is not None:
            proof.write_text(json.dumps(proofs.export(OPERATOR, row), indent=1), encoding="utf-8")
            self._say("proof", str(proof))

    def _say(self, name: str, value: str) -> None:
        self.stdout.write(f"{name:<10} {value}")
