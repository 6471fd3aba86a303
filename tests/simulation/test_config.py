"""The building's file is read whole, and what is wrong in it is named with line and cure."""

from dataclasses import fields
from pathlib import Path

import pytest

from adapter_agent import simulation
from adapter_agent.simulation.apartment_house import apartment_house
from adapter_agent.simulation.config import (
    AdapterPlace,
    AirPlace,
    Config,
    GatewayPlace,
    House,
    Log,
    MeterPlace,
    check,
    load,
)
from adapter_agent.simulation.load import HABITS
from adapter_agent.simulation.physics import indoor_loss_db
from adapter_agent.simulation.shapes import SHAPES
from edge.config import ConfigError, effective, parse
from meterwire.ids import DevEUI, GatewayEUI, MeterId

SOURCE = Path("/etc/meterspan/building.toml")
GOOD = """\
[building]
folder = "meters"
seed = 4

[[gateway]]
eui = "AA-55-5A-00-00-00-01-01"
port = 1700
floor = -1

[[meter]]
name = "flat-01"
shape = "emh-ehz"
id = "1 EMH 00 1234 5678"

[[meter]]
name = "flat-02"
capture = "captures/meter.bin"

[[adapter]]
dev_eui = "70b3d57ed0061000"
meters = ["flat-01", "flat-02"]
floor = 2
x_m = 4.0

[[adapter]]
dev_eui = "70b3d57ed0061001"
loss_db = { aa555a0000000101 = 121.5 }
"""


def read(text: str) -> Config:
    return check(parse(text, SOURCE))


def test_a_file_is_read_with_its_defaults() -> None:
    config = read(GOOD)
    assert config.gateway[0].eui == GatewayEUI.parse("aa555a0000000101")
    assert config.meter[0].id == MeterId.parse("1EMH0012345678")
    assert config.meter[1].capture == Path("/etc/meterspan/captures/meter.bin")
    assert config.device("flat-01") == Path("/etc/meterspan/meters/flat-01")
    assert (config.air.host, config.air.port, config.gateway[0].pull_interval_s) == ("127.0.0.1", 0, 5.0)


def test_path_loss_follows_from_the_places_or_is_told() -> None:
    config = read(GOOD)
    near, told = (adapter.losses(config.gateway) for adapter in config.adapter)
    assert near == {"aa555a0000000101": pytest.approx(indoor_loss_db((4**2 + 9**2) ** 0.5, 3))}
    assert told == {"aa555a0000000101": 121.5}


@pytest.mark.parametrize(
    ("wrong", "right", "expected"),
    [
        ('shape = "emh-ehz"', 'shape = "emh-xyz"', r"line 12: no shape 'emh-xyz'; known: emh-ehz"),
        ('shape = "emh-ehz"', 'habit = "household"', "a meter has either a shape or a capture"),
        ('capture = "captures/meter.bin"', 'capture = "a"\nshape = "emh-ehz"', "either a shape or a capture"),
        ('id = "1 EMH 00 1234 5678"', "", "the meter has no identity"),
        ('id = "1 EMH 00 1234 5678"', 'id = "1 EMH"', "line 13: 'meter\\[0\\].id'"),
        ('name = "flat-02"', 'name = "flat-01"', "'flat-01' stands there twice"),
        ('name = "flat-02"', 'name = "../flat"', "meter\\[1\\].name"),
        ('["flat-01", "flat-02"]', '["flat-03"]', "line 21: there is no meter 'flat-03'"),
        ("aa555a0000000101 =", "AA =", "'AA' is no gateway"),
        ("port = 1700", "port = 170000", "line 7"),
        ('"70b3d57ed0061001"', '"70b3d57ed0061000"', "stands there twice"),
        ("seed = 4", "seeds = 4", "did you mean 'seed'"),
        ('shape = "emh-ehz"', 'shape = "emh-ehz"\nhabit = "sauna"', "no habit 'sauna'"),
    ],
)
def test_what_is_wrong_is_named(wrong: str, right: str, expected: str) -> None:
    assert wrong in GOOD
    with pytest.raises(ConfigError, match=expected):
        read(GOOD.replace(wrong, right, 1))


def test_the_example_names_every_key_and_can_be_used(tmp_path: Path) -> None:
    example = Path(simulation.__file__).with_name("building.example.toml")
    config = load(example)
    assert config.adapter[0].meters == tuple(meter.name for meter in config.meter)
    text = example.read_text()
    for kind in (House, AirPlace, GatewayPlace, MeterPlace, AdapterPlace, Log):
        for key in fields(kind):
            assert f"{key.name} =" in text, f"{kind.__name__}.{key.name}"
    for name in (*SHAPES, *HABITS):
        assert name in text


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"building\.toml cannot be read"):
        load(tmp_path / "building.toml")


def house(adapters: int) -> Config:
    return apartment_house(adapters, [GatewayPlace(GatewayEUI.parse("aa555a0000000101"), 1700, floor=-1)])


@pytest.mark.parametrize("adapters", [1, 12, 50, 200])
def test_an_apartment_house_is_a_valid_building_that_reads_back_equal(adapters: int) -> None:
    config = house(adapters)
    again = check(parse(effective(config), SOURCE))
    assert again.adapter == config.adapter
    assert again.meter == config.meter
    assert again.gateway == config.gateway


def test_an_apartment_house_is_as_mixed_as_promised() -> None:
    config = house(12)
    assert len(config.adapter) == 12
    assert {meter.shape for meter in config.meter} == set(SHAPES)
    assert sum(len(adapter.meters) == 2 for adapter in config.adapter) == 1
    assert 2 <= sum(meter.kwp > 0 for meter in config.meter) <= 4
    assert sum(not meter.unlocked for meter in config.meter) == 1
    losses = [loss for adapter in config.adapter for loss in adapter.losses(config.gateway).values()]
    assert max(losses) - min(losses) > 15
    assert all(16 - loss > -110 for loss in losses)  # every flat is heard at SF7, some better than others


def test_an_apartment_house_takes_given_names() -> None:
    names = [DevEUI.parse(f"{number:016x}") for number in (5, 6)]
    assert [adapter.dev_eui for adapter in apartment_house(2, [], dev_euis=names).adapter] == names
