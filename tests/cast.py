"""The shared cast of portal tests: one organisation with a person of every role, and an outsider of another one.

Everything is made through the services, with the rights of the person who would do it. Use the `cast` fixture
(`from tests.cast import cast` in a conftest), or call `Cast.assemble()` in a test that has the database.
"""

import itertools
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from meterwire.ids import MeterId
from meterwire.transport_key import public_key
from provisioning.accounts.actors import System
from provisioning.accounts.models import Membership, Organisation, Role, User
from provisioning.accounts.services import add_member, create_organisation
from provisioning.fleet import services as fleet
from provisioning.fleet.models import Adapter, Concentrator, Meter, MeteringPoint, Site
from provisioning.keys import services as keys
from provisioning.keys.models import DeviceKey
from provisioning.pairing import services as pairing
from provisioning.pairing.models import Pairing
from tests.support.kept import kept

STAGE = System("test stage")
JOIN_EUI = "70b3d57ed0000001"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
_numbers = itertools.count(1)


@dataclass
class Company:
    """An organisation and its people by role."""

    organisation: Organisation
    people: dict[str, User]

    def member(self, role: str) -> Membership:
        return Membership.objects.get(organisation=self.organisation, user=self.people[role])


@dataclass
class Cast:
    """Who is there, and factories for what they work on; each factory takes what a test cares about."""

    home: Company
    away: Company
    owner: User = field(init=False)
    administrator: User = field(init=False)
    operator: User = field(init=False)
    installer: User = field(init=False)
    viewer: User = field(init=False)
    custodian: User = field(init=False)
    auditor: User = field(init=False)
    outsider: User = field(init=False)

    def __post_init__(self) -> None:
        people = self.home.people
        self.owner = self.administrator = people[Role.ADMINISTRATOR]
        self.operator, self.installer = people[Role.OPERATOR], people[Role.INSTALLER]
        self.viewer, self.custodian = people[Role.VIEWER], people[Role.CUSTODIAN]
        self.auditor = people[Role.AUDITOR]
        self.outsider = self.away.people[Role.OPERATOR]

    @classmethod
    def assemble(cls) -> "Cast":
        return cls(company("Lindenhof Energie"), company("Fremdwerke"))

    @property
    def organisation(self) -> Organisation:
        return self.home.organisation

    def site(self, name: str = "", company: Company | None = None) -> Site:
        where = company or self.home
        name = name or f"Lindenstraße {next(_numbers)}"
        return fleet.create_site(where.people[Role.OPERATOR], where.organisation, name=name, city="Berlin")

    def metering_point(self, site: Site | None = None, name: str = "") -> MeteringPoint:
        return fleet.create_metering_point(STAGE, site or self.site(), name=name or f"Flat {next(_numbers)}")

    def meter(self, point: MeteringPoint | None = None, meter_id: str = "") -> Meter:
        meter_id = meter_id or str(MeterId("1", "EMH", 0, next(_numbers)))
        return fleet.install_meter(STAGE, point or self.metering_point(), meter_id=meter_id, installed_at=LONG_AGO)

    def concentrator(self, site: Site | None = None, *, private_key: bytes | None = None) -> Concentrator:
        """With an approved key; hand in the private half when the test unwraps."""
        site = site or self.site()
        key = public_key(private_key or secrets.token_bytes(32)).hex()
        eui, name = f"00800000a0{next(_numbers):06x}", f"Cellar {next(_numbers)}"
        made = fleet.register_concentrator(STAGE, site.organisation, eui=eui, name=name, site=site, public_key=key)
        return made.concentrator

    def adapter(self, site: Site | None = None, concentrator: Concentrator | None = None, dev_eui: str = "") -> Adapter:
        """Registered, without keys."""
        site = site or self.site()
        dev_eui = dev_eui or f"70b3d57ed1{next(_numbers):06x}"
        return fleet.create_adapter(
            STAGE, site.organisation, dev_eui=dev_eui, join_eui=JOIN_EUI, site=site, concentrator=concentrator
        )

    def keyed_adapter(self, site: Site | None = None, concentrator: Concentrator | None = None) -> Adapter:
        """With an active root key and an active inner key."""
        adapter = self.adapter(site, concentrator)
        for key in keys.issue_adapter_keys(STAGE, adapter):
            keys.activate(STAGE, key)
        return adapter

    def inner_key(self, adapter: Adapter) -> DeviceKey:
        return DeviceKey.objects.get(adapter=adapter, purpose="inner", state="active")

    def pairing(self, adapter: Adapter | None = None, point: MeteringPoint | None = None, input: int = 0) -> Pairing:
        """Since LONG_AGO, at the adapter's site."""
        adapter = adapter or self.adapter()
        point = point or self.metering_point(adapter.site)
        return pairing.pair(STAGE, adapter, point, input=input, from_at=LONG_AGO)


def company(name: str) -> Company:
    """A new organisation with one person per role, none of whom can log in by password."""
    organisation = create_organisation(STAGE, name, slug=f"{name}-{next(_numbers)}")
    people = {
        role: add_member(STAGE, organisation, f"{role}@{organisation.slug}.example", role).user for role in Role.values
    }
    return Company(organisation, people)


@pytest.fixture
def cast(db: None) -> Cast:
    """The cast, in a test with the database."""
    return kept("cast", Cast.assemble)
