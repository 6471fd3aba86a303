"""`manage.py factor_reset`: removes the second factors of somebody who lost them all; audited with the reason."""

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from provisioning.accounts.actors import System
from provisioning.accounts.factor_changes import reset
from provisioning.accounts.models import User
from provisioning.errors import Invalid


class Command(BaseCommand):
    help = "Remove all second factors of one person; a key custodian is then led to setting up a passkey anew."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--reason", required=True, help="how you made sure that it is the person; for the audit")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(email__iexact=options["email"]).first()
        if user is None:
            raise CommandError(f"There is no account for {options['email']}.")
        try:
            removed = reset(System(f"factor_reset by {getpass.getuser()}"), user, options["reason"])
        except Invalid as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{removed} factors of {user.email} removed; the password alone opens the account now")
