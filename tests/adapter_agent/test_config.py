"""The configuration names its faults with line and cure, and shows what is in force."""

from pathlib import Path

import pytest

from adapter_agent.cli import main
from adapter_agent.config import ConfigError, check, load
from edge.config import parse

MINIMAL = """
[adapter]
dev_eui = "70B3D57ED0061234"
join_eui = "70-b3-d5-7e-d0-00-00-01"
state_dir = "state"

[[input]]
device = "/dev/ttyUSB0"
"""
EXAMPLE = Path(__file__).parents[2] / "adapter_agent" / "adapter.example.toml"


def checked(text: str, board: bool | None = False):
    return check(parse(text, Path("/etc/adapter.toml")), board=board)


def test_little_is_enough():
    loaded = checked(MINIMAL)
    assert str(loaded.config.adapter.dev_eui) == "70b3d57ed0061234"
    assert loaded.config.adapter.state_dir == Path("/etc/state")
    assert loaded.config.adapter.credential == Path("/etc/state/credential")
    assert (loaded.radio.type, loaded.radio_section.data_rate) == ("virtual", 5)
    assert [str(obis) for obis in loaded.config.sampler.registers] == ["1-0:1.8.0", "1-0:2.8.0"]


@pytest.mark.parametrize(("device", "meant"), [("meter", "/etc/meter"), ("/dev/tty", "/dev/tty"), ("-", "-")])
def test_devices_are_found_from_the_files_folder(device, meant):
    assert checked(MINIMAL.replace("/dev/ttyUSB0", device)).config.input[0].device == meant


@pytest.mark.parametrize(
    ("change", "line", "complaint"),
    [
        ('state_dir = "state"\ncolour = 1', 6, "unknown key 'colour'"),
        ('state_dir = "state"\ndev_eu = "1"', 6, "did you mean 'dev_eui'"),
        ('[radio]\ntype = "smoke"', 11, "unknown radio 'smoke'"),
        ("[radio]\nport = 0", 11, ">= 1"),
        ("[radio]\npower = 14", 11, "unknown key 'power'"),
        ('[[input]]\ndevice = "x"\ninterface = "telepathy"', 12, "unknown meter interface"),
        ('[[input]]\ndevice = "x"\nnumber = 1\nbaud = 9601', 13, "9601 baud"),
        ('[[input]]\ndevice = "x"', 10, "input 0 is there twice"),
        ('[sampler]\nregisters = ["1-0:99.9.9"]', 11, "no register that a values telegram can carry"),
        ("[sampler]\nregisters = []", 11, "no register is to be sent"),
        ("[sampler]\nperiod_s = 0", 11, "> 0"),
        ('[sampler]\non_change = { "1-0:16.7.0" = 5 }', 11, "not sent"),
        ('[sampler]\non_change = { "power" = 5 }', 11, "no register that a values telegram can carry"),
        ('[coupling]\ndevice = "x"\ncarries = "telegram"', 7, "a base board gets its meters over"),
        ('[sealing]\nmode = "none"', 11, "none"),
    ],
)
def test_a_fault_is_named_with_its_line(change, line, complaint):
    text = (
        MINIMAL.replace('state_dir = "state"', change) if change.startswith("state_dir") else f"{MINIMAL}\n{change}\n"
    )
    with pytest.raises(ConfigError) as refused:
        checked(text)
    assert complaint in str(refused.value)
    assert f"/etc/adapter.toml, line {line}:" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "board", "complaint"),
    [
        (MINIMAL.split("[[input]]")[0], False, "nothing to read"),
        (MINIMAL, True, "needs its line to the base board"),
        (MINIMAL.split("[[input]]")[0] + '[coupling]\ndevice = "x"\ncarries = "bytes"', True, "at least one meter"),
    ],
)
def test_half_an_adapter_needs_its_own_sections(text, board, complaint):
    with pytest.raises(ConfigError, match=complaint):
        checked(text, board)


def test_the_example_is_in_order_and_names_every_key():
    loaded = load(EXAMPLE)
    text = EXAMPLE.read_text()
    import dataclasses

    def keys(kind):
        return [field.name for field in dataclasses.fields(kind)]

    config = loaded.config
    sections = [config.adapter, config.input[0], config.sampler, config.sealing, config.clock, config.log]
    for section in [*sections, loaded.radio, loaded.radio_section]:
        for key in keys(section):
            assert f"{key} =" in text, key
    for key in ("device =", "carries =", "baud ="):
        assert key in text.split("[coupling]")[-1]


def test_the_effective_configuration_is_shown_and_can_be_read_again(tmp_path, capsys):
    file = tmp_path / "adapter.toml"
    file.write_text(MINIMAL)
    assert main(["run", "--config", str(file), "--check-config"]) == 0
    shown = capsys.readouterr().out
    again = tmp_path / "again.toml"
    again.write_text(shown)
    assert load(again).config.sampler.period_s == load(file).config.sampler.period_s
    assert load(again).radio_section == load(file).radio_section


def test_a_wrong_configuration_ends_with_code_2(tmp_path, capsys):
    file = tmp_path / "adapter.toml"
    file.write_text(MINIMAL + "[nonsense]\n")
    for command in ("run", "board", "provision"):
        extra = ["--keys", "x"] if command == "provision" else ["--check-config"]
        assert main([command, "--config", str(file), *extra]) == 2
        assert "nonsense" in capsys.readouterr().err
    assert main(["run", "--config", str(tmp_path / "absent.toml")]) == 2


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ('interface = "mbus"\naddress = "251"', "no M-Bus address"),
        ('interface = "mbus"\nevery_s = 0', "every_s"),
        ('interface = "wmbus"\nmeter = "1 EMH 00 1234"', "no meter identifier"),
    ],
)
def test_how_a_meter_is_found_on_its_bus_is_checked(keys, complaint):
    with pytest.raises(ConfigError, match=complaint):
        checked(f'{MINIMAL}\n[[input]]\nnumber = 1\ndevice = "x"\n{keys}\n')


def test_an_m_bus_meter_is_not_asked_over_standard_input():
    with pytest.raises(ConfigError, match="only listens"):
        checked(f'{MINIMAL}\n[[input]]\nnumber = 1\ndevice = "-"\ninterface = "mbus"\n')
