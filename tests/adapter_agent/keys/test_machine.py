"""Whatever comes in whatever order, power failing in between: a key in its time, never none, no counter twice."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from meterwire.counter import Counter
from meterwire.errors import KeyMemoryError
from meterwire.key_messages import ExchangeAnswer, ExchangeConfirm, KeyRevoke, Result
from meterwire.keymemory import SLOTS
from tests.adapter_agent.cast import BEGIN, DEV_EUI
from tests.adapter_agent.keys.cast import CONCENTRATOR, PORTAL, Adapter, Far, inner, key

slots = st.integers(0, SLOTS - 1)
partners = st.sampled_from([0, 1])
begins = st.one_of(st.none(), st.integers(-10, 40).map(lambda days: int(BEGIN) + days * 86_400))
ends = st.one_of(st.none(), st.integers(41, 500).map(lambda days: int(BEGIN) + days * 86_400))


class PowerLost(BaseException):
    """No code may catch it, as none runs on."""


class CounterMemory:
    def __init__(self) -> None:
        self.value = 0

    def load(self) -> int:
        return self.value

    def save(self, reserved_up_to: int) -> None:
        self.value = reserved_up_to


class Life(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.adapter = Adapter()
        self.partners = [Far(self.adapter, PORTAL), Far(self.adapter, CONCENTRATOR)]
        self.answers: list[ExchangeAnswer | None] = [None, None]
        self.counters, self.used = CounterMemory(), set()
        self.counter = Counter(self.counters)
        self.known, self.fills = BEGIN, 0x10
        self.last: tuple[int, bytes] | None = None
        self.usable = True

    @rule(who=partners, slot=slots, begin=begins, end=ends, full=st.booleans())
    def deliver(self, who, slot, begin, end, full) -> None:
        self.fills += 1
        far = self.partners[who]
        message = far.delivery(inner(slot), key(self.fills % 251 + 1), begin=begin, end=end)
        self._send(who, message, full)

    @rule(who=partners, slot=slots)
    def offer(self, who, slot) -> None:
        answers = self.partners[who].offer(inner(slot))
        self.answers[who] = answers[0] if isinstance(answers[0], ExchangeAnswer) else None

    @rule(who=partners, begin=begins, end=ends)
    def confirm(self, who, begin, end) -> None:
        answer = self.answers[who]
        if answer is not None:
            self.partners[who].confirm(answer, begin=begin, end=end)

    @rule(who=partners, slot=slots)
    def prove(self, who, slot) -> None:
        held = {entry.slot: entry for entry in self.adapter.memory}
        check = held[slot].key.check_value() if slot in held else bytes(3)
        self._send(who, ExchangeConfirm(self.partners[who].next(), inner(slot), None, None, check), False)

    @rule(who=partners, slot=slots)
    def revoke(self, who, slot) -> None:
        far = self.partners[who]
        [answer] = far.send(KeyRevoke(far.next(), inner(slot)))
        held = [entry.slot for entry in self.adapter.memory]
        assert (slot not in held) or answer.result is Result.SLOT_TAKEN
        self.usable = False  # a partner may take the last key away, nothing else may

    @precondition(lambda self: self.last is not None)
    @rule()
    def replay(self) -> None:
        who, payload = self.last
        before = self.adapter.ring.holding
        reached = before.partners[who].seq
        self.adapter.requests.take(payload)
        self.adapter.said()
        assert self.adapter.ring.holding.partners[who].seq >= reached
        assert self.adapter.ring.holding.inner == before.inner or reached < int.from_bytes(payload[1:3])

    @rule(telegrams=st.integers(1, 12))
    def seal(self, telegrams) -> None:
        for _ in range(telegrams):
            try:
                entry = self.adapter.memory.choose("inner", self.adapter.date)
            except KeyMemoryError:
                return
            assert entry.valid_at(self.adapter.date)
            number = self.counter.next()
            assert number not in self.used
            self.used.add(number)
            self.adapter.trial.sealed(entry, self.adapter.date)

    @rule()
    def lose_power(self) -> None:
        self.adapter.restart()
        self.adapter.said()  # what was not acknowledged before
        self.counter = Counter(self.counters)

    @rule(who=partners, slot=slots, stored=st.booleans())
    def lose_power_in_a_delivery(self, who, slot, stored) -> None:
        self.fills += 1
        message = self.partners[who].delivery(inner(slot), key(self.fills % 251 + 1))
        write = self.adapter.file.write

        def failing(content: bytes) -> None:
            if stored:
                write(content)
            raise PowerLost

        before = self.adapter.file.content
        self.adapter.file.write = failing
        try:
            self._send(who, message, False)
        except PowerLost:
            assert stored or self.adapter.file.content == before
        self.adapter.file.write = write
        self.lose_power()

    @rule(days=st.integers(0, 60))
    def time_passes(self, days) -> None:
        self.known += days * 86_400
        if self.adapter.date is not None:
            self.adapter.date = self.known
            self.usable = False  # keys end

    @rule()
    def the_date_is_lost(self) -> None:
        self.adapter.date = None
        self.usable = False

    @rule(back=st.integers(0, 5))
    def the_date_is_told(self, back) -> None:
        self.adapter.date = max(BEGIN, self.known - back * 86_400)
        self.usable = False

    def _send(self, who, message, full) -> None:
        payload = message.encode(self.partners[who].macs.down, DEV_EUI)
        self.adapter.file.full = full
        self.adapter.requests.take(payload)
        self.adapter.said()
        self.adapter.file.full = False
        self.last = (who, payload)

    @invariant()
    def there_is_a_key_if_there_was_one(self) -> None:
        try:
            entry = self.adapter.memory.choose("inner", self.adapter.date)
        except KeyMemoryError:
            assert not self.usable, "a key was lost that nobody took away"
        else:
            assert self.adapter.date is not None
            assert entry.valid_at(self.adapter.date)
            self.usable = True

    @invariant()
    def the_file_holds_what_is_in_force(self) -> None:
        holding = self.adapter.ring.holding
        assert len(holding.inner) <= SLOTS
        assert tuple(self.adapter.memory) == holding.inner
        self.adapter.restart()
        assert self.adapter.ring.holding == holding


Life.TestCase.settings = settings(max_examples=30, stateful_step_count=30, derandomize=True, deadline=None)
TestLife = Life.TestCase
