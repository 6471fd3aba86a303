"""What the portal holds of a day: telegrams and leaf hashes by counter, and whether the signature fits them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from meterwire.curves import PublicKey
from meterwire.errors import AuthenticationError
from meterwire.ids import DevEUI
from meterwire.resting import rests
from meterwire.signed_day import Run, Statement, leaf, number_of
from meterwire.signed_day.statement import MAX_LEAVES
from meterwire.values_telegram import PORT as VALUES_PORT
from portal.days.models import RestingLeaf, SignedDay, SigningKey
from portal.telemetry.models import Telegram

HASH_BYTES = 32


@dataclass(frozen=True, slots=True)
class Evidence:
    """Leaf hashes by counter: of telegrams that came (`held`), and of others as the adapter named them (`named`).

    `used` are the counters that the day used, None while that is not known. `resting` came and are not stored as they
    were sent, so that only the adapter can still tell their hash.
    """

    held: dict[int, bytes]
    named: dict[int, bytes]
    used: list[int] | None
    resting: frozenset[int] = frozenset()

    @property
    def missing(self) -> list[int]:
        """Counters without content or hash."""
        return [counter for counter in self.used or () if counter not in self.held and counter not in self.named]

    @property
    def without_content(self) -> int:
        """How many telegrams of the day are not here in any form."""
        return sum(counter not in self.held and counter not in self.resting for counter in self.used or ())

    @property
    def uncovered(self) -> int:
        """Telegrams among the day's that its signature does not cover: the adapter lost its note of them."""
        return 0 if self.used is None else len((self.held.keys() | self.resting) - set(self.used))

    def hashes(self) -> list[tuple[int, bytes]]:
        """(counter, leaf hash) of the whole day; only where nothing is missing."""
        return [(c, self.held[c] if c in self.held else self.named[c]) for c in self.used or ()]


def gather(row: SignedDay) -> Evidence:
    """Everything about a day whose signature has arrived."""
    assert row.first_counter is not None
    assert row.last_counter is not None
    assert row.leaves is not None
    dev_eui = DevEUI.parse(row.adapter.dev_eui)
    held, resting = {}, set()
    for counter, port, octets in between(row, row.first_counter, row.last_counter):
        if port == VALUES_PORT and rests(octets):
            resting.add(counter)
        else:
            held[counter] = leaf(dev_eui, counter, port, octets)
    held |= _noted(row, resting)
    named = {int(counter): bytes.fromhex(digest) for counter, digest in row.digests.items()}
    used = _used(row, row.leaves, row.first_counter, row.last_counter)
    if used is None and len(held.keys() | named.keys() | resting) == row.leaves:
        used = sorted(held.keys() | named.keys() | resting)
    if row.hashes:  # verified before: what was proven stays, whatever became of the telegrams
        assert used is not None
        proven = dict(zip(used, _split(bytes(row.hashes)), strict=True))
        held = {counter: digest for counter, digest in held.items() if proven.get(counter, digest) == digest}
        named |= proven
    return Evidence(held, named, used, frozenset(resting - held.keys()))


def between(row: SignedDay, first: int, last: int) -> Iterator[tuple[int, int, bytes]]:
    """(counter, port, bytes) of accepted telegrams of the day's adapter, in order."""
    rows = Telegram.objects.filter(adapter_id=row.adapter_id, error=None, counter__range=(first, last))
    for counter, port, payload in rows.order_by("counter").values_list("counter", "fport", "payload")[:MAX_LEAVES]:
        assert counter is not None
        yield counter, port, bytes(payload)


def fitting_key(row: SignedDay, keys: Iterable[SigningKey], hashes: list[tuple[int, bytes]]) -> SigningKey | None:
    """The key of the adapter under which the signature fits; None when it fits under none."""
    statement = Statement.of(DevEUI.parse(row.adapter.dev_eui), number_of(row.day), hashes)
    if (statement.leaves, statement.first, statement.last) != (row.leaves, row.first_counter, row.last_counter):
        return None
    signature = bytes(row.r or b"") + bytes(row.s or b"")
    for key in keys:
        try:
            PublicKey(bytes.fromhex(key.public)).verify(signature, statement.message)
        except AuthenticationError:
            continue
        return key
    return None


def _noted(row: SignedDay, resting: set[int]) -> dict[int, bytes]:
    """What was noted of telegrams when they came."""
    if not resting:
        return {}
    rows = RestingLeaf.objects.filter(adapter_id=row.adapter_id, counter__range=(row.first_counter, row.last_counter))
    return {counter: bytes(digest) for counter, digest in rows.values_list("counter", "digest") if counter in resting}


def _used(row: SignedDay, leaves: int, first: int, last: int) -> list[int] | None:
    if last - first + 1 == leaves:
        return list(range(first, last + 1))
    runs = sorted(Run(*one) for one in row.runs)
    if sum(run.length for run in runs) != leaves:
        return None
    used = sorted({counter for run in runs for counter in range(run.first, run.end)})
    return used if len(used) == leaves and (used[0], used[-1]) == (first, last) else None


def _split(hashes: bytes) -> list[bytes]:
    return [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]
