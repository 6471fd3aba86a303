"""Asks the portal's pages and API routes in turn, as a logged-in operator would, and times the server's part."""

import secrets
import time
from collections.abc import Callable
from random import Random

from django.test import Client

from provisioning.accounts.actors import System
from provisioning.accounts.models import Role
from provisioning.accounts.services import add_member, create_organisation

BENCH = System("benchmark")
RANGES = ("day", "week", "month")


class Browser:
    """One session; `visit_for` goes round all pages until the time is over."""

    def __init__(self, email: str, adapters: int, chance: Random) -> None:
        from provisioning.accounts.models import User

        self._client = Client(headers={"host": "127.0.0.1"})
        self._client.force_login(User.objects.get(email=email))
        self._adapters, self._chance = adapters, chance
        self._pages: dict[str, Callable[[], str]] = {
            "overview": lambda: "/",
            "sites": lambda: "/sites/",
            "site": lambda: f"/sites/{self._site()}/",
            "adapters": lambda: "/adapters/",
            "adapters_silent": lambda: "/adapters/?state=silent",
            "adapters_last": lambda: "/adapters/?sort=last",
            "adapters_search_meter": lambda: f"/adapters/?q=1EMH00{self._adapter():08d}",
            "adapters_search_text": lambda: f"/adapters/?q=Lindenweg {self._site()}",
            "adapter": lambda: f"/adapters/{self._adapter()}/",
            "adapter_series": lambda: (
                f"/adapters/{self._adapter()}/series/?group=energy&range={self._chance.choice(RANGES)}"
            ),
            "adapter_link": lambda: f"/adapters/{self._adapter()}/link/",
            "concentrators": lambda: "/concentrators/",
            "concentrator": lambda: f"/concentrators/{self._site()}/",
            "slots": lambda: f"/concentrators/{self._site()}/slots/",
            "slot": lambda: f"/adapters/{self._adapter()}/slot/",
            "readings": lambda: f"/readings/?adapter={self._adapter()}",
            "incidents": lambda: "/incidents/",
            "api_adapters": lambda: "/api/v1/adapters/",
            "api_readings": lambda: f"/api/v1/readings/?adapter={self._adapter()}",
        }

    @staticmethod
    def prepare(email: str) -> int:
        """Make the organisation and its operator; returns the organisation's id."""
        organisation = create_organisation(BENCH, "Benchmark", "benchmark")
        add_member(BENCH, organisation, email, Role.ADMINISTRATOR, password=secrets.token_urlsafe(24))
        return int(organisation.pk)

    def visit_each(self, times: int) -> None:
        """Warm up; raises when a page does not answer with 200."""
        for name, address in self._pages.items():
            for _ in range(times):
                answer = self._client.get(address())
                if answer.status_code != 200:
                    raise RuntimeError(f"{name}: {answer.status_code} for {answer.request['PATH_INFO']}")

    def visit_for(self, seconds: float) -> dict[str, list[float]]:
        """Seconds per request, by page."""
        spent: dict[str, list[float]] = {name: [] for name in self._pages}
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for name, address in self._pages.items():
                target = address()
                start = time.perf_counter()
                self._client.get(target)
                spent[name].append(time.perf_counter() - start)
        return spent

    def _adapter(self) -> int:
        return self._chance.randint(1, self._adapters)

    def _site(self) -> int:
        return self._chance.randint(1, self._adapters // 100)
