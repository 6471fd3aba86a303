"""When a values telegram has to prove which meter was read: after a join, a configuration, a change, and once a day."""

from collections.abc import Iterable
from typing import Final

from adapter_agent.nameplates import Nameplates
from edge.clock import Clock
from meterwire.identity import REGISTER, identity_hash
from meterwire.ids import DevEUI
from meterwire.registers import register_number
from meterwire.seal import Value

DAY_S: Final = 86_400.0


class Proofs:
    """The identity hash of each input goes with every telegram from when it is due until one has arrived."""

    def __init__(self, dev_eui: DevEUI, nameplates: Nameplates, clock: Clock) -> None:
        self.nameplates = nameplates
        self._dev_eui, self._clock = dev_eui, clock
        self._proven: dict[int, tuple[bytes, float]] = {}
        self._shown: dict[int, bytes] = {}

    def want(self) -> None:
        """A proof of every input is due, whatever has been proven before."""
        self._proven.clear()
        self._shown.clear()

    @property
    def waiting(self) -> bool:
        """Whether the hash of any input is due."""
        return any(not self._is_proven(*one) for one in self.nameplates.identities().items())

    def due(self, input_: int) -> Value | None:
        """The hash to send with a telegram of this input now."""
        octets = self.nameplates.identities().get(input_)
        if octets is None or self._is_proven(input_, octets):
            return None
        self._shown[input_] = octets
        return Value(register_number(REGISTER, input_), identity_hash(self._dev_eui, input_, octets))

    def arrived(self, inputs: Iterable[int]) -> None:
        """A telegram that carried the hashes of `inputs` has been acknowledged."""
        now = self._clock.monotonic()
        self._proven |= {input_: (self._shown[input_], now) for input_ in inputs if input_ in self._shown}

    def _is_proven(self, input_: int, octets: bytes) -> bool:
        proven = self._proven.get(input_)
        return proven is not None and proven[0] == octets and self._clock.monotonic() - proven[1] < DAY_S
