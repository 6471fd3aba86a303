"""Pairing requests over the API, as an installer's phone sends them, in a fleet of any size."""

import secrets
import time
from random import Random

from django.db import connection
from django.test import Client

from meterwire.ids import DevEUI, JoinEUI
from meterwire.label import Label
from provisioning.accounts.actors import System
from provisioning.accounts.models import Organisation, Role
from provisioning.accounts.services import add_member, create_organisation
from provisioning.fleet.models import Adapter, Site
from provisioning.keys.waiting import waiting_sealer
from provisioning.labels import tokens
from provisioning.labels.services import adopt_tokens
from provisioning.labels.services.change import Adopted

BENCH = System("benchmark")
STOCK = 1_000  # adapters without a pairing, with a label
PER_SITE = 100
FIRST = 0x70B3D57EE0000000
_FILL = (
    """insert into fleet_site (organisation_id, name, street, postcode, city, country, time_zone, created_at)
       select {org}, 'Lindenweg ' || n, '', '', '', 'DE', 'Europe/Berlin', now() from generate_series(1, {sites}) n""",
    """insert into fleet_adapter (organisation_id, dev_eui, join_eui, serial, kind, activation, dev_addr, lorawan,
       location, created_at) select {org}, lpad(to_hex({first}::bigint + n), 16, '0'), '70b3d57ed0000001', 'MS' || n,
       'meterspan', 'otaa', '', '1.0.4', '', now() from generate_series(1, {adapters}) n""",
    """insert into fleet_meteringpoint (organisation_id, site_id, name, melo_id, malo_id, created_at)
       select {org}, s.id, 'Flat ' || n, '', '', now() from fleet_site s, generate_series(1, {per_site}) n
       where s.organisation_id = {org}""",
    """insert into fleet_meter (organisation_id, metering_point_id, meter_id, server_id, maker, installed_at)
       select {org}, id, '1EMH00' || lpad(row_number() over (order by id)::text, 8, '0'), '', 'EMH', now()
       from fleet_meteringpoint where organisation_id = {org}""",
    "analyze",
)


class Scanner:
    """One installer with a session; every scan pairs another adapter of the stock with another meter."""

    def __init__(self, adapters: int, chance: Random) -> None:
        organisation = create_organisation(BENCH, "Scans", "scans")
        user = add_member(
            BENCH, organisation, "installer@bench.example", Role.INSTALLER, password=secrets.token_urlsafe(24)
        ).user
        self._fill(organisation, adapters)
        self._client = Client(headers={"host": "127.0.0.1"})
        self._client.force_login(user)
        self._sites = list(Site.objects.filter(organisation=organisation).values_list("pk", flat=True))
        stock = list(Adapter.objects.filter(organisation=organisation).order_by("?")[:STOCK])
        self._labels = _labels(organisation, stock)
        self._meters = chance.sample(range(1, adapters + 1), STOCK)
        for _ in range(20):  # warm
            self.scan()

    def scan(self) -> float:
        """Seconds that the server took for one pairing request with two raw scans."""
        body = {"adapter_scan": self._labels.pop(), "meter_scan": f"1 EMH 00 {self._meters.pop():08d}"}
        start = time.perf_counter()
        answer = self._client.post(
            "/api/v1/pairings/", body, "application/json", headers={"Idempotency-Key": secrets.token_hex(16)}
        )
        spent = time.perf_counter() - start
        if answer.status_code != 201:
            raise RuntimeError(f"the pairing was refused: {answer.status_code} {answer.content[:300]!r}")
        return spent

    @staticmethod
    def _fill(organisation: Organisation, adapters: int) -> None:
        values = {
            "org": organisation.pk,
            "sites": adapters // PER_SITE,
            "adapters": adapters,
            "per_site": PER_SITE,
            "first": FIRST,
        }
        with connection.cursor() as cursor:
            for statement in _FILL:
                cursor.execute(statement.format(**values))


def _labels(organisation: Organisation, adapters: list[Adapter]) -> list[str]:
    """Their labels' texts; the tokens are taken over as those of a supplier's file are."""
    sealer, pepper = waiting_sealer(), tokens.current_pepper()
    texts, adopted = [], []
    for adapter in adapters:
        token = tokens.new_token()
        kept = tokens.digest(adapter.dev_eui, token, pepper)
        adopted.append((adapter, Adopted(kept, pepper, tokens.seal(sealer, organisation.pk, adapter.dev_eui, token))))
        label = Label(JoinEUI.parse(adapter.join_eui), DevEUI.parse(adapter.dev_eui), "FFFF0001", owner_token=token)
        texts.append(label.format())
    adopt_tokens(BENCH, organisation, adopted)
    return texts
