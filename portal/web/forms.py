"""What forms share: a service's refusal shown at the field it names."""

from django import forms

from meterwire.errors import MeterspanError
from provisioning.errors import Invalid


def refuse(form: forms.Form, error: MeterspanError, fields: dict[str, str] | None = None) -> None:
    """Show a refusal at its field; `fields` translates the service's argument names to the form's."""
    field = error.field if isinstance(error, Invalid) else ""
    field = (fields or {}).get(field, field)
    form.add_error(field if field in form.fields else None, str(error))
