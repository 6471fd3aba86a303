"""A building to start from: flats on mixed meters over several floors, some with a roof, one with two inputs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from adapter_agent.simulation.config import AdapterPlace, AirPlace, Config, GatewayPlace, House, MeterPlace
from adapter_agent.simulation.noise import uniform
from meterwire.ids import DevEUI, MeterId

PER_FLOOR: Final = 3
FLOORS: Final = 6
DEV_EUIS: Final = 0x70B3D57ED0061000  # the first adapter's; inside a block for private experiments

_SHAPES: Final = (
    # shape, maker, production block, first number
    ("emh-mme40", "EMH", 0x00, 10_400_000),
    ("iskra-mt691", "ISK", 0x00, 70_410_000),
    ("dzg-dvs74", "DZG", 0x00, 42_170_000),
    ("holley-dtz541", "HLY", 0x02, 260_000),
    ("ebz-dd3", "EBZ", 0x01, 1_060_000),
    ("itron-3hz", "ITR", 0x00, 55_100_000),
    ("iskra-mt631", "ISK", 0x00, 74_300_000),
    ("emh-ehz", "EMH", 0x00, 30_500_000),
)
_FEEDS_IN: Final = frozenset({"dzg-dvs74", "holley-dtz541", "iskra-mt631"})
_ROOF_EVERY: Final = 2  # of the meters that can count both ways
_LOCKED: Final = 5  # this adapter's meter has had no PIN entered
_TWO_INPUTS: Final = 2  # this adapter also reads a heat pump


def apartment_house(
    adapters: int,
    gateways: Sequence[GatewayPlace],
    *,
    folder: Path = Path("meters"),
    seed: int = 1,
    air_port: int = 0,
    dev_euis: Sequence[DevEUI] | None = None,
) -> Config:
    """A building of `adapters` flats, three to a floor and six floors to a house; houses stand 25 m apart."""
    names = dev_euis or [DevEUI.from_bytes((DEV_EUIS + number).to_bytes(8, "big")) for number in range(adapters)]
    meters: list[MeterPlace] = []
    places: list[AdapterPlace] = []
    roofs = 0
    for number, dev_eui in enumerate(names[:adapters]):
        shape, maker, block, first = _SHAPES[number % len(_SHAPES)]
        roofs += shape in _FEEDS_IN
        read = [
            MeterPlace(
                name=f"flat-{number + 1:02d}",
                shape=shape,
                id=MeterId("1", maker, block, first + 37 * number + 11),
                unlocked=number != _LOCKED,
                yearly_kwh=round(1500 + 2600 * uniform(seed, "yearly", number), -1),
                kwp=round(4 + 6 * uniform(seed, "kwp", number), 1)
                if shape in _FEEDS_IN and roofs % _ROOF_EVERY
                else 0.0,
            )
        ]
        if number == _TWO_INPUTS:
            read.append(
                MeterPlace(
                    name=f"heat-pump-{number + 1:02d}",
                    shape="ebz-dd3",
                    id=MeterId("1", "EBZ", 0x01, 1_190_017),
                    habit="heat-pump",
                    yearly_kwh=4200.0,
                    tariffs=2,
                )
            )
        meters += read
        places.append(_place(number, dev_eui, tuple(meter.name for meter in read), seed))
    return Config(
        building=House(folder=folder, seed=seed),
        air=AirPlace(port=air_port),
        gateway=tuple(gateways),
        meter=tuple(meters),
        adapter=tuple(places),
    )


def _place(number: int, dev_eui: DevEUI, meters: tuple[str, ...], seed: int) -> AdapterPlace:
    house, flat = divmod(number, PER_FLOOR * FLOORS)
    floor, side = divmod(flat, PER_FLOOR)
    return AdapterPlace(
        dev_eui=dev_eui,
        meters=meters,
        floor=floor,
        x_m=25.0 * house + 6.0 * side + round(3 * uniform(seed, "x", number), 1),
        y_m=round(10 * uniform(seed, "y", number), 1),
        extra_loss_db=round(6 + 8 * uniform(seed, "cabinet", number), 1),
    )
