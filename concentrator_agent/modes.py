"""The interface gate: which interface is open in which mode. Every sender obtains its way out here (design 8).

A sender keeps only the door, never the socket behind it; a closed interface lets nothing through. The table is data,
the gate is its one owner.
"""

import asyncio
from collections.abc import Callable, Mapping
from enum import Enum, StrEnum
from typing import Final, Generic, ParamSpec, TypeVar

import msgspec

from edge.clock import Clock
from meterwire.errors import MeterspanError

P = ParamSpec("P")
R = TypeVar("R")


class Interface(StrEnum):
    """RADIO is the second communication interface, towards the adapters; HAN, LAN and MOBILE are the third."""

    RADIO = "radio"
    LMN_RADIO = "lmn-radio"
    MBUS = "m-bus"
    HAN = "han"
    LAN = "lan"
    MOBILE = "mobile"


class Mode(StrEnum):
    SMGW = "smgw"
    STAND_ALONE = "stand-alone"


class Side(Enum):
    """What is active while an exclusive gate keeps local and third interface apart ([0135]-[0138])."""

    BOTH = "both"
    LOCAL = "local"
    THIRD = "third"


_RADIO, _LOCAL = {Interface.RADIO}, {Interface.LMN_RADIO, Interface.MBUS}
_OUTSIDE = {Interface.LAN, Interface.MOBILE}

# Mode x active side. In stand-alone mode the LMN is empty and closed, so there are no sides to keep apart [0241].
OPEN: Final[Mapping[tuple[Mode, Side], frozenset[Interface]]] = {
    (Mode.SMGW, Side.BOTH): frozenset(_RADIO | _LOCAL | {Interface.HAN} | _OUTSIDE),
    (Mode.SMGW, Side.LOCAL): frozenset(_RADIO | _LOCAL | {Interface.HAN}),
    (Mode.SMGW, Side.THIRD): frozenset(_RADIO | {Interface.HAN} | _OUTSIDE),
    (Mode.STAND_ALONE, Side.BOTH): frozenset(_RADIO | _OUTSIDE),
}


class InterfaceClosed(MeterspanError):
    """The mode keeps this interface closed now. What was to be sent stays queued."""

    code = "interface_closed"
    temporary = True


class GateSettings(msgspec.Struct, frozen=True):
    """`exclusive`: local and third interface take turns, `local_s` and `third_s` seconds each; only in SMGw mode.
    `han_outside`: the HAN leads out of the building, so it counts as third. `off`: switched off for good.
    """

    mode: Mode = Mode.STAND_ALONE
    exclusive: bool = False
    local_s: float = 840.0
    third_s: float = 60.0
    han_outside: bool = False
    off: tuple[Interface, ...] = ()


class Gate:
    """The one owner of what is open. Starts with the local side when exclusive."""

    def __init__(self, settings: GateSettings) -> None:
        self.settings = settings
        self._taking_turns = settings.exclusive and settings.mode is Mode.SMGW
        self._side = Side.LOCAL if self._taking_turns else Side.BOTH
        self._changed = asyncio.Event()

    @property
    def side(self) -> Side:
        return self._side

    def is_open(self, interface: Interface) -> bool:
        if interface in self.settings.off:
            return False
        if interface is Interface.HAN and self.settings.han_outside and self._side is Side.LOCAL:
            return False
        return interface in OPEN[self.settings.mode, self._side]

    def ever_open(self, interface: Interface) -> bool:
        """Whether it is open at any time in this mode."""
        opened = (OPEN[mode, side] for mode, side in OPEN if mode is self.settings.mode)
        return interface not in self.settings.off and any(interface in some for some in opened)

    def door(self, interface: Interface, way_out: Callable[P, R]) -> "Door[P, R]":
        """`way_out` behind the gate: calling the door raises InterfaceClosed while `interface` is closed."""
        return Door(self, interface, way_out)

    def check(self, interface: Interface) -> None:
        """Raises InterfaceClosed."""
        if not self.is_open(interface):
            raise InterfaceClosed(f"the interface {interface} is closed in {self.settings.mode} mode; it stays queued")

    async def until(self, interface: Interface, is_open: bool) -> None:
        """Return once the interface is open, or closed."""
        while self.is_open(interface) is not is_open:
            await self._changed.wait()

    def turn(self, side: Side) -> None:
        """Open the other side. Only for an exclusive gate in SMGw mode."""
        if not self._taking_turns or side is Side.BOTH:
            raise ValueError("only an exclusive gate in SMGw mode takes turns")
        self._side = side
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def run(self, clock: Clock) -> None:
        """Alternate by schedule until cancelled; returns at once when nothing alternates."""
        while self._taking_turns:
            await clock.sleep(self.settings.local_s if self._side is Side.LOCAL else self.settings.third_s)
            self.turn(Side.THIRD if self._side is Side.LOCAL else Side.LOCAL)


class Door(Generic[P, R]):
    """A way out that exists only while its interface is open."""

    __slots__ = ("_gate", "_interface", "_way_out")

    def __init__(self, gate: Gate, interface: Interface, way_out: Callable[P, R]) -> None:
        self._gate = gate
        self._interface = interface
        self._way_out = way_out

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        self._gate.check(self._interface)
        return self._way_out(*args, **kwargs)
