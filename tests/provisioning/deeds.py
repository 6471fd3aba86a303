"""Every service as a deed that somebody tries: what it needs, and how to do it. For tests over roles and tenants."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from meterwire.seal import Key16
from provisioning.accounts import services as accounts
from provisioning.accounts.actors import Actor
from provisioning.accounts.models import Role
from provisioning.accounts.permissions import Action
from provisioning.approvals.services import approve, request
from provisioning.campaigns import services as campaigns
from provisioning.campaigns.models import Campaign, LmnHandover
from provisioning.campaigns.services.handover import make_file_here
from provisioning.errors import Forbidden
from provisioning.fleet import services as fleet
from provisioning.keys import services as keys
from provisioning.keys.services.reveal import DEED, subject
from provisioning.keys.vault import Vault
from provisioning.pairing import services as pairing
from tests.cast import LONG_AGO, STAGE, Cast
from tests.provisioning.labelled import labelled, picture

Attempt = Callable[[Actor], Any]


@dataclass(frozen=True)
class Deed:
    """`prepare` sets the stage and returns the attempt; `actions` are all that it needs."""

    name: str
    actions: tuple[Action, ...]
    prepare: Callable[[Cast], Attempt]

    def __str__(self) -> str:
        return self.name


DEEDS: list[Deed] = []


def deed(*actions: Action) -> Callable[[Callable[[Cast], Attempt]], Callable[[Cast], Attempt]]:
    def add(prepare: Callable[[Cast], Attempt]) -> Callable[[Cast], Attempt]:
        DEEDS.append(Deed(prepare.__name__, actions, prepare))
        return prepare

    return add


@deed("accounts.manage")
def add_member(cast: Cast) -> Attempt:
    return lambda actor: accounts.add_member(actor, cast.organisation, "new@example.org", "viewer")


@deed("accounts.manage")
def change_member(cast: Cast) -> Attempt:
    return lambda actor: accounts.change_member(actor, cast.home.member("viewer"), role="installer")


@deed("accounts.manage")
def remove_member(cast: Cast) -> Attempt:
    member = accounts.add_member(STAGE, cast.organisation, "leaving@example.org", "viewer")
    return lambda actor: accounts.remove_member(actor, member)


@deed("token.own")
def create_token(cast: Cast) -> Attempt:
    return lambda actor: accounts.create_token(actor, cast.organisation, "script")


@deed("accounts.manage")
def revoke_token(cast: Cast) -> Attempt:
    member = accounts.add_member(STAGE, cast.organisation, "programmer@example.org", "viewer")
    made = accounts.create_token(member.user, cast.organisation, "script")
    return lambda actor: accounts.revoke_token(actor, made.token)


@deed("fleet.edit")
def create_site(cast: Cast) -> Attempt:
    return lambda actor: fleet.create_site(actor, cast.organisation, name="Neubau")


@deed("fleet.edit")
def update_site(cast: Cast) -> Attempt:
    return partial(_with, fleet.update_site, cast.site(), name="Altbau")


@deed("fleet.edit")
def archive_site(cast: Cast) -> Attempt:
    return partial(_with, fleet.archive_site, cast.site())


@deed("accounts.manage")
def grant_site(cast: Cast) -> Attempt:
    return partial(_with, fleet.grant_site, cast.home.member("installer"), cast.site())


@deed("accounts.manage")
def withdraw_site(cast: Cast) -> Attempt:
    return partial(_with, fleet.withdraw_site, cast.home.member("installer"), cast.site())


@deed("fleet.install")
def create_metering_point(cast: Cast) -> Attempt:
    return partial(_with, fleet.create_metering_point, cast.site(), name="Flat 7")


@deed("fleet.edit")
def update_metering_point(cast: Cast) -> Attempt:
    return partial(_with, fleet.update_metering_point, cast.metering_point(), name="Flat 8")


@deed("fleet.edit")
def archive_metering_point(cast: Cast) -> Attempt:
    return partial(_with, fleet.archive_metering_point, cast.metering_point())


@deed("fleet.install")
def install_meter(cast: Cast) -> Attempt:
    return partial(_with, fleet.install_meter, cast.metering_point(), meter_id="1 EMH 00 1234 5678")


@deed("fleet.install")
def remove_meter(cast: Cast) -> Attempt:
    return partial(_with, fleet.remove_meter, cast.meter())


@deed("concentrator.manage")
def register_concentrator(cast: Cast) -> Attempt:
    return lambda actor: fleet.register_concentrator(actor, cast.organisation, eui="00800000A0FFFFFF", name="Roof")


@deed("concentrator.manage")
def update_concentrator(cast: Cast) -> Attempt:
    return partial(_with, fleet.update_concentrator, cast.concentrator(), name="Attic", site=None)


@deed("concentrator.manage")
def reset_password(cast: Cast) -> Attempt:
    return partial(_with, fleet.reset_password, cast.concentrator())


@deed("concentrator.manage")
def approve_key(cast: Cast) -> Attempt:
    concentrator = cast.concentrator()
    concentrator.announced_key = "11" * 32
    concentrator.save()
    return partial(_with, fleet.approve_key, concentrator, "02d4-49a3-1fbb-267c-8f35")


@deed("concentrator.manage")
def archive_concentrator(cast: Cast) -> Attempt:
    return partial(_with, fleet.archive_concentrator, cast.concentrator())


@deed("fleet.edit")
def create_adapter(cast: Cast) -> Attempt:
    return lambda actor: fleet.create_adapter(actor, cast.organisation, dev_eui="70b3d57ed1ffffff", join_eui="0" * 16)


@deed("fleet.edit")
def create_adapters(cast: Cast) -> Attempt:
    from provisioning.fleet.services.adapters import NewAdapter

    new = [NewAdapter("70b3d57ed1fffffe", "0" * 16), NewAdapter("70b3d57ed1fffffd", "0" * 16)]
    return lambda actor: fleet.create_adapters(actor, cast.organisation, new)


@deed("fleet.install")
def update_adapter(cast: Cast) -> Attempt:
    return partial(_with, fleet.update_adapter, cast.adapter(), location="cellar")


@deed("fleet.edit")
def move_adapter(cast: Cast) -> Attempt:
    return partial(_with, fleet.move_adapter, cast.adapter(), site=cast.site(), concentrator=cast.concentrator())


@deed("fleet.edit")
def archive_adapter(cast: Cast) -> Attempt:
    return partial(_with, fleet.archive_adapter, cast.adapter())


@deed("fleet.edit")
def restore_site(cast: Cast) -> Attempt:
    site = cast.site()
    fleet.archive_site(STAGE, site)
    return partial(_with, fleet.restore_site, site)


@deed("fleet.edit")
def restore_metering_point(cast: Cast) -> Attempt:
    point = cast.metering_point()
    fleet.archive_metering_point(STAGE, point)
    return partial(_with, fleet.restore_metering_point, point)


@deed("fleet.edit")
def restore_adapter(cast: Cast) -> Attempt:
    adapter = cast.adapter()
    fleet.archive_adapter(STAGE, adapter)
    return partial(_with, fleet.restore_adapter, adapter)


@deed("concentrator.manage")
def restore_concentrator(cast: Cast) -> Attempt:
    concentrator = cast.concentrator()
    fleet.archive_concentrator(STAGE, concentrator)
    return partial(_with, fleet.restore_concentrator, concentrator)


@deed("keys.issue")
def issue_key(cast: Cast) -> Attempt:
    return partial(_with, keys.issue_key, cast.adapter(), "transport")


@deed("keys.issue")
def issue_root_key(cast: Cast) -> Attempt:
    return partial(_with, keys.issue_root_key, cast.adapter())


@deed("keys.issue")
def issue_inner_key(cast: Cast) -> Attempt:
    return partial(_with, keys.issue_inner_key, cast.adapter())


@deed("keys.issue")
def issue_lmn_keys(cast: Cast) -> Attempt:
    site = cast.site()
    cast.adapter(site)
    return partial(_with, keys.issue_lmn_keys, site)


@deed("keys.issue")
def issue_adapter_keys(cast: Cast) -> Attempt:
    return partial(_with, keys.issue_adapter_keys, cast.adapter())


@deed("keys.import")
def import_keys(cast: Cast) -> Attempt:
    return partial(_with, keys.import_keys, cast.adapter(), [keys.NewKey("root", Key16(bytes(16)))])


@deed("keys.import", "fleet.edit")
def register_foreign_device(cast: Cast) -> Attempt:
    device = {"dev_eui": "a840410000000001", "join_eui": "a840410000000100", "app_key": "11" * 16}
    return lambda actor: keys.register_foreign_device(actor, cast.organisation, **device)


@deed("keys.lifecycle")
def activate(cast: Cast) -> Attempt:
    return partial(_with, keys.activate, keys.issue_inner_key(STAGE, cast.adapter()))


@deed("keys.lifecycle")
def retire(cast: Cast) -> Attempt:
    return partial(_with, keys.retire, cast.inner_key(cast.keyed_adapter()))


@deed("keys.lifecycle")
def revoke(cast: Cast) -> Attempt:
    return partial(_with, keys.revoke, cast.inner_key(cast.keyed_adapter()), "stolen")


@deed("keys.lifecycle")
def destroy(cast: Cast) -> Attempt:
    key = keys.revoke(STAGE, cast.inner_key(cast.keyed_adapter()), "stolen")
    return partial(_with, keys.destroy, key, "stolen")


@deed("keys.reveal")
def hand_over(cast: Cast) -> Attempt:
    adapter = cast.adapter()
    keys.issue_adapter_keys(STAGE, adapter)
    return partial(_with, keys.hand_over, adapter, Vault.from_settings(), "installation")


@deed("keys.reveal")
def rewrap(cast: Cast) -> Attempt:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return partial(_with, keys.rewrap, cast.inner_key(cast.keyed_adapter()), pem, "for the gateway administrator")


@deed("keys.reveal")
def reveal(cast: Cast) -> Attempt:
    """Everybody who may ask for it has been allowed to by a second custodian."""
    key = cast.inner_key(cast.keyed_adapter())
    second = accounts.add_member(STAGE, cast.organisation, "second@lindenhof.example", Role.CUSTODIAN).user
    for person in cast.home.people.values():
        with suppress(Forbidden):
            asked = request(person, cast.organisation, DEED, subject(key), "inner key", "lost hand-over file")
            approve(second, asked)
    return partial(_with, keys.reveal, key, "lost hand-over file")


@deed("pairing.create")
def pair(cast: Cast) -> Attempt:
    adapter = cast.adapter()
    return partial(_with, pairing.pair, adapter, cast.metering_point(adapter.site))


@deed("pairing.create")
def confirm(cast: Cast) -> Attempt:
    return partial(_with, pairing.confirm, cast.pairing(), "unreadable")


@deed("pairing.end")
def unpair(cast: Cast) -> Attempt:
    return partial(_with, pairing.unpair, cast.pairing(), reason="moved out")


@deed("pairing.end", "pairing.create")
def replace_adapter(cast: Cast) -> Attempt:
    old = cast.pairing()
    return partial(_with, pairing.replace_adapter, old, cast.adapter(old.adapter.site), reason="broken")


@deed("pairing.end", "pairing.create", "fleet.install")
def replace_meter(cast: Cast) -> Attempt:
    return partial(_with, pairing.replace_meter, cast.pairing(), "1EMH0012345678", reason="calibration ended")


@deed("pairing.create")
def claim(cast: Cast) -> Attempt:
    adapter = cast.adapter()
    request = labelled(adapter)
    return lambda actor: pairing.claim(actor, cast.organisation, request, key="deed-0001")


@deed("pairing.end")
def move(cast: Cast) -> Attempt:
    held = cast.pairing()
    return partial(_with, pairing.move, held, cast.metering_point(held.adapter.site), "wrong flat")


@deed("pairing.end")
def resolve_mismatch(cast: Cast) -> Attempt:
    held = cast.pairing()
    pairing.found_identity(held, "mismatch", b"1EMH0012345678", LONG_AGO, "sealed")
    return partial(_with, pairing.resolve_mismatch, held, "retry")


@deed("pairing.end")
def adapter_by_scan(cast: Cast) -> Attempt:
    text = cast.adapter().dev_eui
    return lambda actor: pairing.adapter_by_scan(actor, cast.organisation, text)


@deed("fleet.edit")
def set_reporting(cast: Cast) -> Attempt:
    adapter = cast.adapter()
    return lambda actor: pairing.set_reporting(actor, adapter, period_s=900)


@deed("pairing.create")
def set_photo(cast: Cast) -> Attempt:
    return partial(_with, pairing.set_photo, cast.pairing(), picture())


@deed("pairing.unblock")
def clear_wrong_claims(cast: Cast) -> Attempt:
    return lambda actor: pairing.clear_wrong_claims(actor, cast.organisation, cast.custodian)


@deed("keys.import")
def import_key_file(cast: Cast) -> Attempt:
    text = f"dev_eui,purpose,key\n{cast.adapter().dev_eui},inner,{'1a' * 16}\n"
    return lambda actor: keys.import_key_file(actor, cast.organisation, text.encode())


@deed("concentrator.revoke")
def revoke_concentrator(cast: Cast) -> Attempt:
    return partial(_with, fleet.revoke_concentrator, cast.concentrator(), "stolen")


@deed("keys.lifecycle")
def revoke_adapter(cast: Cast) -> Attempt:
    return partial(_with, keys.revoke_adapter, cast.keyed_adapter(), "stolen")


@deed("keys.lifecycle")
def reinstate_adapter(cast: Cast) -> Attempt:
    adapter = keys.revoke_adapter(STAGE, cast.keyed_adapter(), "stolen")
    return partial(_with, keys.reinstate_adapter, adapter, "found again")


@deed("keys.issue")
def issue_storage_key(cast: Cast) -> Attempt:
    return partial(_with, keys.issue_storage_key, cast.adapter())


@deed("keys.rotate")
def plan(cast: Cast) -> Attempt:
    adapter = cast.keyed_adapter()
    return lambda actor: campaigns.plan(actor, cast.organisation, scope=adapter)


@deed("keys.rotate")
def pause(cast: Cast) -> Attempt:
    return partial(_with, campaigns.pause, _campaign(cast))


@deed("keys.rotate")
def resume(cast: Cast) -> Attempt:
    return partial(_with, campaigns.resume, campaigns.pause(STAGE, _campaign(cast)))


@deed("keys.rotate")
def cancel(cast: Cast) -> Attempt:
    return partial(_with, campaigns.cancel, _campaign(cast), "mistake")


@deed("keys.rotate")
def retry(cast: Cast) -> Attempt:
    delivery = campaigns.plan(STAGE, cast.organisation, scope=cast.adapter()).deliveries.get()
    return partial(_with, campaigns.retry, delivery)


@deed("keys.rotate")
def retry_failed(cast: Cast) -> Attempt:
    campaign = campaigns.plan(STAGE, cast.organisation, scope=cast.adapter())
    return partial(_with, campaigns.retry_failed, campaign)


@deed("keys.rotate")
def schedule(cast: Cast) -> Attempt:
    return lambda actor: campaigns.schedule(actor, cast.organisation, period_days=90, first_at=LONG_AGO)


@deed("keys.rotate")
def end_schedule(cast: Cast) -> Attempt:
    standing = campaigns.schedule(STAGE, cast.organisation, period_days=90, first_at=LONG_AGO)
    return partial(_with, campaigns.end_schedule, standing, "no longer")


@deed("keys.rotate")
def prepare_handover(cast: Cast) -> Attempt:
    key = keys.issue_key(STAGE, cast.adapter(), "lmn")
    terms = {"name": "Gateway Ltd", "public_key": _pem(), "reason": "new meters"}
    return lambda actor: campaigns.prepare_handover(actor, cast.organisation, [key], **terms)


@deed("keys.reveal")
def download(cast: Cast) -> Attempt:
    return partial(_with, campaigns.download, _handed_over(cast))


@deed("keys.rotate")
def acknowledge(cast: Cast) -> Attempt:
    return partial(_with, campaigns.acknowledge, _handed_over(cast), "letter of today")


@deed("keys.rotate")
def withdraw(cast: Cast) -> Attempt:
    return partial(_with, campaigns.withdraw, _handed_over(cast), "wrong recipient")


def _handed_over(cast: Cast) -> LmnHandover:
    key = keys.issue_key(STAGE, cast.adapter(), "lmn")
    terms = {"name": "Gateway Ltd", "public_key": _pem(), "reason": "new meters"}
    made = campaigns.prepare_handover(STAGE, cast.organisation, [key], **terms)
    make_file_here(Vault.from_settings(), STAGE, made)
    return made


def _pem() -> str:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _campaign(cast: Cast) -> Campaign:
    site = cast.site()
    return campaigns.plan(STAGE, cast.organisation, scope=cast.keyed_adapter(site, cast.concentrator(site)))


def _with(service: Callable[..., Any], subject: Any, *args: Any, **rest: Any) -> Any:
    """`partial` puts the actor last; services take it first."""
    *middle, actor = args
    return service(actor, subject, *middle, **rest)
