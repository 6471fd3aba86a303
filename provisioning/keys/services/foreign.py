"""Foreign LoRaWAN devices, registered by their keys."""

from django.utils.translation import gettext as _

from meterwire.errors import MeterspanError
from meterwire.seal import Key16
from provisioning.accounts.actors import Actor
from provisioning.accounts.models import Organisation
from provisioning.audit.services import audited
from provisioning.errors import Invalid
from provisioning.fleet.access import require_at
from provisioning.fleet.models import Adapter, Concentrator, Site
from provisioning.fleet.services.adapters import NewAdapter, create_adapters
from provisioning.keys.models import Purpose
from provisioning.keys.services.issue import NewKey, import_keys

NO_JOIN_EUI = "0" * 16  # a device activated by personalisation joins nowhere


def register_foreign_device(
    actor: Actor,
    organisation: Organisation,
    *,
    dev_eui: str,
    join_eui: str = NO_JOIN_EUI,
    app_key: str = "",
    dev_addr: str = "",
    nwk_s_key: str = "",
    app_s_key: str = "",
    lorawan: str = Adapter.LoRaWAN.V1_0_3,
    site: Site | None = None,
    concentrator: Concentrator | None = None,
    serial: str = "",
    location: str = "",
) -> Adapter:
    """Register somebody else's device: by `app_key` (it joins), or by `dev_addr` and both session keys (it does not).

    EUIs, address and keys as hex, most significant digit first, as on the device's sheet. Works in a process that
    can open no key. Needs fleet.edit and keys.import.
    """
    abp = bool(dev_addr or nwk_s_key or app_s_key)
    if abp == bool(app_key):
        raise Invalid("app_key", _("Give either the AppKey, or the device address with both session keys."))
    if abp:
        keys = [_key("nwk_s_key", Purpose.NWK, nwk_s_key), _key("app_s_key", Purpose.APP, app_s_key)]
        if not dev_addr:
            raise Invalid("dev_addr", _("A device that does not join needs its device address."))
    else:
        keys = [_key("app_key", Purpose.ROOT, app_key)]
    require_at(actor, organisation, site.pk if site else None, "keys.import")
    new = NewAdapter(
        dev_eui=dev_eui,
        join_eui=join_eui,
        serial=serial,
        location=location,
        kind=Adapter.Kind.FOREIGN,
        activation=Adapter.Activation.ABP if abp else Adapter.Activation.OTAA,
        dev_addr=dev_addr,
        lorawan=lorawan,
    )
    with audited(organisation):
        adapter = create_adapters(actor, organisation, [new], site=site, concentrator=concentrator)[0]
        import_keys(actor, adapter, keys)
    return adapter


def _key(field: str, purpose: Purpose, value: str) -> NewKey:
    try:
        return NewKey(purpose, Key16.parse("".join(value.split())))
    except MeterspanError as error:
        raise Invalid(field, str(error)) from None
