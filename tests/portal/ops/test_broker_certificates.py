"""A real Mosquitto with our files: certificates let in, revocation keeps out, taking over puts out."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiomqtt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from concentrator_agent.enrolment.identity import Identity
from concentrator_agent.enrolment.wallet import Held, Wallet, WalletFile
from edge import tls
from edge.mqtt import LinkSettings, MqttLink, take_over
from edge.sealedfile import Credential
from portal.ops import broker
from provisioning.fleet.broker import password_hash
from tests.support.certificates import HOUR, Authority
from tests.support.mosquitto import Broker
from tests.support.processes import free_port

A, B, C = "0016c001f1a20001", "0016c001f1a20002", "0016c001f1a20003"
PASSWORD = "the portal's own"
TRIES = 12
RELOADED = "Reloading config."
DEADLINE_S = 20.0


@dataclass
class Mtls:
    """A certificate in memory, as TlsSource."""

    authority: Authority
    name: str

    def __post_init__(self) -> None:
        self.certificate, self._key = self.authority.pair(self.name)

    def context(self) -> ssl.SSLContext:
        context = tls.client_context(authorities=[self.authority.der])
        key = self._key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        tls.show_identity(context, [self.certificate.public_bytes(Encoding.DER)], key)
        return context


@dataclass
class Door:
    """The broker, its folder and its two listeners: `port` with passwords, `tls_port` with certificates."""

    folder: Path
    authority: Authority
    port: int
    tls_port: int
    running: Broker | None = None

    async def tell(self, accounts: dict[str, str] | None = None, ends: timedelta = 24 * HOUR) -> None:
        """Write what the broker reads, and return when it has begun to: it answers nobody before it has read all."""
        assert self.running is not None
        before = self.running.log().count(RELOADED)
        self.write(accounts, ends)
        broker.reload(self.folder)
        await eventually(lambda: self.running is not None and self.running.log().count(RELOADED) > before)

    def write(self, accounts: dict[str, str] | None = None, ends: timedelta = 24 * HOUR) -> None:
        hashed = [(name, password_hash(text, bytes(12), 100)) for name, text in (accounts or {}).items()]
        broker.write(self.folder / broker.PASSWORDS, broker.passwords("portal", PASSWORD, hashed), 0o600)
        broker.write_trust(self.folder, (self.authority.pem.decode(), self.authority.list_pem(ends).decode()))

    @property
    def portal(self) -> LinkSettings:
        return settings(self.port, "portal-bridge", user="portal", password=PASSWORD)


def settings(port: int, client_id: str, *, user: str | None = None, password: str | None = None) -> LinkSettings:
    return LinkSettings("127.0.0.1", port, client_id, user, password, reconnect_min_s=0.01, reconnect_max_s=0.02)


@pytest.fixture
def door(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Door]:
    """Running; the parameter says how long its first list of revoked certificates holds."""
    authority = Authority()
    certificate, key = authority.write_server(tmp_path)
    door = Door(tmp_path, authority, free_port(), free_port())
    listeners = [
        broker.Listener(door.port),
        broker.Listener(door.tls_port, "127.0.0.1", certificate, key, clients=True),
    ]
    (tmp_path / broker.CONFIGURATION).write_text(broker.configuration(tmp_path, listeners, "root"))
    (tmp_path / broker.ACCESS).write_text(broker.access_list("portal"))
    (tmp_path / broker.DEVICE_ACCESS).write_text(broker.device_access_list())
    door.write({C: "c-secret"}, getattr(request, "param", 24 * HOUR))
    for name in broker.FILES:
        (tmp_path / name).chmod(0o600)
    program = ["mosquitto", "-c", str(tmp_path / broker.CONFIGURATION)]
    door.running = Broker("mosquitto", door.port, tmp_path, program)
    door.running.start()
    yield door
    door.running.stop()


class Trying(MqttLink):
    """Counts how often it tried to connect."""

    tries = 0

    def _new_client(self) -> aiomqtt.Client:
        self.tries += 1
        return super()._new_client()


class End:
    """One client and what it hears."""

    def __init__(self, link: LinkSettings, *subscriptions: str) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.link = Trying(link, subscriptions, self._take)
        self.task = asyncio.ensure_future(self.link.run())

    async def _take(self, topic: str, body: bytes) -> None:
        self.heard.append((topic, body))


@asynccontextmanager
async def connected(link: LinkSettings, *subscriptions: str) -> AsyncIterator[End]:
    async with trying(link, *subscriptions) as it:
        await asyncio.wait_for(it.link.wait_connected(), DEADLINE_S)
        yield it


@asynccontextmanager
async def trying(link: LinkSettings, *subscriptions: str) -> AsyncIterator[End]:
    it = End(link, *subscriptions)
    try:
        yield it
    finally:
        it.link.stop()
        it.task.cancel()
        await asyncio.gather(it.task, return_exceptions=True)


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.02)


def with_certificate(door: Door, name: str, client_id: str = "") -> tuple[LinkSettings, Mtls]:
    shown = Mtls(door.authority, name)
    base = settings(door.tls_port, client_id or name)
    return LinkSettings(**{f: getattr(base, f) for f in base.__struct_fields__} | {"tls": shown}), shown


async def never_comes_back(it: End, since: int) -> None:
    """It tries again and again, and the broker lets it in not once."""
    begun = it.link.tries
    await eventually(lambda: it.link.tries > begun + TRIES)  # so that that many have come to their end
    assert it.link.connections == since
    assert not it.link.connected


async def test_the_certificate_is_user_name_and_client_id_and_opens_its_own_branch_only(door: Door) -> None:
    link, _ = with_certificate(door, A, client_id="something-else")
    async with connected(door.portal, "mspan/1/+/up/#") as portal, connected(link, f"mspan/1/{A}/dn/#") as it:
        await it.link.publish(f"mspan/1/{B}/up/event", b"in another's name")
        await it.link.publish(f"mspan/1/{A}/up/event", b"mine")
        await eventually(lambda: portal.heard == [(f"mspan/1/{A}/up/event", b"mine")])
        await portal.link.publish(f"mspan/1/{A}/dn/command", b"do")
        await eventually(lambda: it.heard == [(f"mspan/1/{A}/dn/command", b"do")])
        await take_over(door.portal, A)
        await eventually(lambda: it.link.connections == 2)


async def test_a_certificate_in_the_portals_name_is_not_the_portal(door: Door) -> None:
    link, _ = with_certificate(door, "portal")
    own, _ = with_certificate(door, A)
    branch = f"mspan/1/{A}/dn/#"
    async with (
        connected(link, "mspan/1/+/up/#") as liar,
        connected(own, branch) as it,
        connected(door.portal, "mspan/1/+/up/#") as portal,
    ):
        await it.link.publish(f"mspan/1/{A}/up/event", b"private")
        await eventually(lambda: portal.heard == [(f"mspan/1/{A}/up/event", b"private")])
        await liar.link.publish(f"mspan/1/{A}/dn/command", b"obey me")
        await portal.link.publish(f"mspan/1/{A}/dn/command", b"obey the portal")
        await eventually(lambda: it.heard == [(f"mspan/1/{A}/dn/command", b"obey the portal")])
        assert liar.heard == []


@pytest.mark.parametrize("kind", ["none", "foreign", "server", "over"])
async def test_without_a_certificate_of_ours_nobody_comes_in(door: Door, kind: str) -> None:
    link, shown = with_certificate(door, A)
    stranger = Authority()
    if kind == "foreign":
        shown.certificate = stranger.issue(A, shown._key.public_key())
    elif kind == "server":
        shown.certificate = door.authority.issue("localhost", shown._key.public_key(), server=True)
    elif kind == "over":
        begins = datetime.now(UTC) - 3 * HOUR
        shown.certificate = door.authority.issue(A, shown._key.public_key(), begins=begins, life=HOUR)
    else:
        shown.context = lambda: tls.client_context(authorities=[door.authority.der])  # type: ignore[method-assign]
    async with trying(link) as it:
        await never_comes_back(it, 0)


async def test_who_is_revoked_is_put_out_and_stays_out_and_nobody_else_notices(door: Door) -> None:
    ours, shown = with_certificate(door, A)
    others, _ = with_certificate(door, B)
    async with connected(door.portal) as portal, connected(ours) as revoked, connected(others) as bystander:
        door.authority.revoked.append(shown.certificate.serial_number)
        await door.tell({C: "c-secret"})
        assert revoked.link.connections == 1
        await revoked.link.publish(f"mspan/1/{A}/up/event", b"still in: the broker looks at lists only at the door")
        await take_over(door.portal, A)
        await eventually(lambda: not revoked.link.connected)
        await never_comes_back(revoked, 1)
        assert (portal.link.connections, bystander.link.connections) == (1, 1)
        assert portal.link.connected
        assert bystander.link.connected
        newcomer, _ = with_certificate(door, C)
        async with connected(newcomer):
            pass


@pytest.mark.parametrize("door", [-HOUR], indirect=True)
async def test_a_list_that_is_over_keeps_everybody_out_and_a_fresh_one_lets_them_in(door: Door) -> None:
    ends = broker.lists_end(door.folder)
    assert ends is not None
    assert ends < datetime.now(UTC)
    link, _ = with_certificate(door, A)
    async with trying(link) as it:
        await never_comes_back(it, 0)
        await door.tell()
        await asyncio.wait_for(it.link.wait_connected(), DEADLINE_S)


async def test_a_list_that_is_over_keeps_everybody_out_although_the_one_before_holds(door: Door) -> None:
    link, _ = with_certificate(door, A)
    async with connected(link) as inside:
        await door.tell(ends=-HOUR)
        assert inside.link.connected
        newcomer, _ = with_certificate(door, B)
        async with trying(newcomer) as it:
            await never_comes_back(it, 0)
            await door.tell()
            await asyncio.wait_for(it.link.wait_connected(), DEADLINE_S)
        assert inside.link.connections == 1


@pytest.mark.parametrize("second, refused", [(0, False), (1, True)])
def test_of_two_lists_of_one_second_the_later_may_have_no_effect(
    door: Door, tmp_path: Path, second: int, refused: bool
) -> None:
    """Judged by OpenSSL, which reads both in this order."""
    certificate, _ = door.authority.pair(A)
    lists = door.authority.list_pem()
    before = broker.lists_begin(door.folder)
    door.authority.revoked.append(certificate.serial_number)
    lists += door.authority.list_pem(second=second)
    (tmp_path / broker.REVOKED).write_bytes(lists)
    assert (broker.lists_begin(door.folder) == before) is not refused
    (tmp_path / "ca").write_bytes(door.authority.pem)
    (tmp_path / "certificate").write_bytes(certificate.public_bytes(Encoding.PEM))
    command = ["openssl", "verify", "-crl_check", "-CAfile", "ca", "-CRLfile", broker.REVOKED, "certificate"]
    assert (subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode != 0) is refused


async def test_a_concentrator_goes_on_with_its_old_certificate_while_the_broker_refuses_the_new_one(
    door: Door, tmp_path: Path
) -> None:
    _, good = with_certificate(door, A)
    bad = Mtls(Authority("Not the broker's"), A)
    wallet = WalletFile(tmp_path / "state", Credential(b"c" * 32))
    wallet.change(lambda _: Wallet(held(good), held(bad), None, (door.authority.der,)))
    identity = Identity(wallet, None, lambda: True)
    base = settings(door.tls_port, A)
    link = LinkSettings(**{name: getattr(base, name) for name in base.__struct_fields__} | {"tls": identity})
    async with connected(link) as it:
        assert it.link.connections == 1
        assert not identity.worked()
        assert wallet.read().next == held(bad)
        better = Mtls(door.authority, A)
        wallet.change(lambda _: Wallet(held(good), held(better), None, (door.authority.der,)))
        it.link.reconnect()
        await eventually(lambda: it.link.connections == 2)
        assert identity.worked()
        assert wallet.read().current == held(better)


def held(shown: Mtls) -> Held:
    key = shown._key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    certificate = shown.certificate
    ends = certificate.not_valid_after_utc.timestamp()
    return Held(key, b"", (certificate.public_bytes(Encoding.DER),), certificate.not_valid_before_utc.timestamp(), ends)


async def test_a_concentrator_with_a_password_is_put_out_with_its_account(door: Door) -> None:
    async with (
        connected(settings(door.port, C, user=C, password="c-secret")) as shut_out,
        connected(door.portal) as portal,
    ):
        await door.tell()
        await take_over(door.portal, C)
        await eventually(lambda: not shut_out.link.connected)
        await never_comes_back(shut_out, shut_out.link.connections)
        assert portal.link.connections == 1


async def test_taking_over_an_empty_place_harms_nobody(door: Door) -> None:
    async with connected(door.portal) as portal:
        await take_over(door.portal, B)
        assert portal.link.connections == 1


@pytest.mark.parametrize("body, ends", [(b"", None), (b"-----BEGIN X509 CRL-----\n-----END X509 CRL-----\n", "error")])
def test_a_damaged_list_is_told_from_none(tmp_path: Path, body: bytes, ends: str | None) -> None:
    assert broker.lists_end(tmp_path) is None
    (tmp_path / broker.REVOKED).write_bytes(body)
    if ends is None:
        assert broker.lists_end(tmp_path) is None
    else:
        with pytest.raises(ValueError, match="asn1"):
            broker.lists_end(tmp_path)
