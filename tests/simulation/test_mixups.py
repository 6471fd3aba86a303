"""What goes wrong in cellars can be had on purpose: wires mixed up, meters that do not say which one they are."""

from decimal import Decimal
from pathlib import Path

import pytest

from adapter_agent.meter import INTERFACES
from adapter_agent.nameplates import identity_of
from adapter_agent.simulation import d0_meter, main
from adapter_agent.simulation.building import Building, meter
from adapter_agent.simulation.config import Config, MeterPlace, check, load
from adapter_agent.simulation.shapes import SHAPES
from edge.clock import ManualClock
from edge.config import ConfigError, parse
from meterwire.config_records import IdentityKind
from meterwire.ids import MeterId

NOW = 1_781_780_400.0
ONE, OTHER = MeterId("1", "ISK", 0, 71), MeterId("1", "ISK", 0, 72)


class Ear:
    """A line with a decoder at its end."""

    def __init__(self) -> None:
        self.decoder, self.heard = INTERFACES["sml"](), set()

    def write(self, data: bytes) -> None:
        self.heard |= {reading.meter_id for reading in self.decoder.feed(data)}


def places(**first) -> tuple[MeterPlace, ...]:
    return (
        MeterPlace("flat-01", shape="iskra-mt691", id=ONE, **first),
        MeterPlace("flat-02", shape="iskra-mt691", id=OTHER),
    )


async def test_two_wires_are_mixed_up_while_the_meters_talk():
    clock, ears = ManualClock(), {}

    def line(place):
        return ears.setdefault(place.name, Ear())

    async with Building(Config(meter=places()), clock, line) as building:
        await clock.advance(6)
        assert [ears[name].heard for name in ("flat-01", "flat-02")] == [{ONE}, {OTHER}]
        building.swap("flat-01", "flat-02")
        await clock.advance(6)
        ears["flat-01"].heard, ears["flat-02"].heard = set(), set()
        await clock.advance(6)
        assert [ears[name].heard for name in ("flat-01", "flat-02")] == [{OTHER}, {ONE}]


def test_the_file_says_who_talks_into_whose_line(tmp_path: Path):
    path = tmp_path / "building.toml"
    more = ["--swap", "flat-01", "flat-02", "--swap", "flat-03", "flat-04", "--nameless", "flat-05"]
    assert main([str(path), "--new", "6", *more]) == 0
    config = load(path)
    meters = {one.name: one for one in config.meter}
    assert (meters["flat-01"].line, meters["flat-02"].line) == ("flat-02", "flat-01")
    assert (meters["flat-05"].named, meters["flat-06"].named) == (False, True)
    assert meters["flat-06"].line == "flat-06"


def test_a_meter_that_is_not_there_cannot_be_mixed_up(tmp_path: Path, capsys):
    assert main([str(tmp_path / "b.toml"), "--new", "2", "--swap", "flat-01", "flat-99"]) == 2
    assert "no meter 'flat-99'" in capsys.readouterr().err


def test_two_meters_on_one_line_are_refused():
    with pytest.raises(ConfigError, match="twice"):
        check(
            parse(
                """
                [[meter]]
                name = "a"
                shape = "ebz-dd3"
                id = "1 EBZ 01 0119 0017"
                plugged = "b"
                [[meter]]
                name = "b"
                shape = "ebz-dd3"
                id = "1 EBZ 01 0119 0018"
                """,
                Path("building.toml"),
            )
        )


@pytest.mark.parametrize("shape", [*SHAPES, d0_meter.NAME])
@pytest.mark.parametrize("named", [True, False])
def test_every_shape_can_keep_its_name_to_itself_and_is_read_all_the_same(shape, named):
    place = MeterPlace("flat-01", shape=shape, id=ONE, named=named)
    interface = INTERFACES["d0" if shape == d0_meter.NAME else "sml"]()
    [reading] = interface.feed(meter(place, 1).telegram(NOW))
    assert (identity_of(reading)[0] == IdentityKind.NONE) == (not named)
    assert any(value.value is not None for value in reading.registers.values())


def test_the_text_meters_values_are_those_it_measured():
    simulated = meter(MeterPlace("flat-01", shape=d0_meter.NAME, id=ONE, kwp=6.0), 1)
    [reading] = INTERFACES["d0"]().feed(simulated.telegram(NOW))
    assert {obis: entry.value for obis, entry in reading.registers.items()} == simulated.values(NOW)
    assert reading.registers["1-0:2.8.0*255"].value > Decimal(0)
    assert reading.meter_id == ONE
