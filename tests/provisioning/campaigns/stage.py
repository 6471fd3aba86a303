"""The stage of campaign tests: adapters in service under a concentrator that is online, and a clock to turn."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from provisioning.campaigns.models import Campaign, Delivery
from provisioning.campaigns.services import activated, answered, begin, plan
from provisioning.fleet.models import Adapter, Concentrator, Site
from provisioning.keys.models import DeviceKey
from provisioning.keys.services import heard_under
from provisioning.keys.vault import Vault
from tests.cast import Cast

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@dataclass
class Stage:
    """One site with one concentrator, and what the bridge would do there."""

    cast: Cast
    site: Site = field(init=False)
    concentrator: Concentrator = field(init=False)
    vault: Vault = field(default_factory=Vault.from_settings)

    def __post_init__(self) -> None:
        self.site = self.cast.site()
        self.concentrator = self.cast.concentrator(self.site)
        Concentrator.objects.update(online=True)

    def adapter(self) -> Adapter:
        """In service: root, inner and key-transport keys are active."""
        return self.cast.keyed_adapter(self.site, self.concentrator)

    def plan(self, scope: Site | Adapter | None = None, **terms: object) -> Campaign:
        return plan(self.cast.custodian, self.cast.organisation, scope=scope, **terms)  # type: ignore[arg-type]

    def begun(self, scope: Site | Adapter | None = None, now: datetime = NOON, **terms: object) -> Delivery:
        """The first delivery of a new campaign, under way."""
        delivery = self.plan(scope, **terms).deliveries.get(state="planned")
        made = begin(delivery.pk, now, self.vault)
        assert made is not None
        return made

    def confirmed(self, delivery: Delivery, now: datetime = NOON) -> Delivery:
        """As when the adapter answers with the right check value."""
        assert delivery.key is not None
        return answered(delivery, bytes.fromhex(delivery.key.check_value), now)

    def heard(self, key: DeviceKey | None, now: datetime = NOON) -> int:
        """As when the first telegram under that key comes in."""
        assert key is not None
        return activated(heard_under([key.pk]), now)
