"""Suppliers: how their files are mapped, remembered so that it is chosen once."""

from collections.abc import Mapping

from django.utils import timezone
from django.utils.translation import gettext as _

from provisioning import changes, validation
from provisioning.accounts.actors import Actor
from provisioning.accounts.models import Organisation
from provisioning.accounts.permissions import require
from provisioning.audit.services import audited, record
from provisioning.batches.files.csvfile import DELIMITERS, ENCODINGS
from provisioning.batches.models import Supplier
from provisioning.batches.plan import clean_defaults, clean_mapping


def save_supplier(
    actor: Actor,
    organisation: Organisation,
    name: str,
    *,
    mapping: Mapping[str, str] | None = None,
    defaults: Mapping[str, str] | None = None,
    encoding: str = "",
    delimiter: str = "",
) -> Supplier:
    """The supplier of that name, made when it is new; what is given of its mapping replaces what was remembered."""
    require(actor, organisation, "batches.import")
    name = validation.text("supplier", name, 80, required=True)
    fields: dict[str, object] = {}
    if mapping is not None:
        fields["mapping"] = clean_mapping(mapping)
    if defaults is not None:
        fields["defaults"] = clean_defaults(defaults)
    if encoding:
        fields["encoding"] = validation.choice("encoding", encoding, ENCODINGS)
    if delimiter:
        fields["delimiter"] = validation.choice("delimiter", delimiter, DELIMITERS)
    with audited(organisation):
        row = Supplier.objects.filter(organisation=organisation, name__iexact=name).first()
        if row is None:
            with validation.unique(_("There is a supplier of this name already.")):
                row = Supplier.objects.create(organisation=organisation, name=name, **fields)
            record(organisation, actor, "supplier.created", row, fields)
        elif changed := changes.apply(row, **fields):
            Supplier.objects.filter(pk=row.pk).update(updated_at=timezone.now())
            record(organisation, actor, "supplier.updated", row, changed)
    return row
