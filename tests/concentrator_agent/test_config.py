"""The configuration file: the example is complete and valid, mistakes are named."""

import re
from pathlib import Path

import pytest

from concentrator_agent.config import Config, load
from edge.config import ConfigError, effective

EXAMPLE = Path(__file__).parents[2] / "concentrator_agent" / "concentrator.example.toml"
LEAST = '[concentrator]\neui = "00-11-22-33-44-55-66-77"\nstate_dir = "state"\n'


def read(folder: Path, text: str) -> Config:
    path = folder / "c.toml"
    path.write_text(text)
    return load(path)


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    return str(caught.value).removeprefix(f"{folder}/")


def test_the_example_is_valid_as_it_stands_and_with_every_comment_taken_away(tmp_path: Path) -> None:
    load(EXAMPLE)
    everything = re.sub(r"(?m)^# ?(\w+ = )", r"\1", EXAMPLE.read_text())
    config = read(tmp_path, everything)
    assert config.mqtt is not None


def test_the_example_explains_every_key(tmp_path: Path) -> None:
    everything = re.sub(r"(?m)^# ?(\w+ = )", r"\1", EXAMPLE.read_text())
    shown = {line.split(" = ")[0] for line in effective(read(tmp_path, everything)).splitlines() if " = " in line}
    mentioned = set(re.findall(r"(?m)^(\w+) = ", everything))
    assert shown == mentioned


def test_the_least_that_must_be_said(tmp_path: Path) -> None:
    config = read(tmp_path, LEAST)
    assert config.eui == "0011223344556677"
    assert config.mqtt is None
    assert config.credential_file == tmp_path / "state" / "credential"
    assert config.region.channels[:3] == (868_100_000, 868_300_000, 868_500_000)
    assert len(config.region.channels) == 8


@pytest.mark.parametrize(
    "addition, message",
    [
        ("[udp]\nprot = 1\n", "c.toml, line 5: unknown key 'prot'; did you mean 'port'?"),
        ("[upd]\nport = 1\n", "c.toml, line 4: unknown key 'upd'; did you mean 'udp'?"),
        ("[udp]\nport = 99999\n", "c.toml, line 5: 'udp.port': expected `int` <= 65535; correct the value"),
        ('[udp]\nallowed_gateways = ["xyz"]\n', "c.toml, line 5: 'udp.allowed_gateways[0]'"),
        ('[mqtt]\nhost = "h"\ntls = false\nca_file = "x"\n', "c.toml, line 4: 'mqtt': certificate files are given"),
        ('[mqtt]\nhost = "h"\ncert_file = "x"\n', "'cert_file' and 'key_file' belong together"),
        ("[mqtt]\nport = 1\n", "c.toml, line 4: 'host' is missing"),
        ('[region]\nname = "US915"\n', "no frequency plan 'US915'"),
        ("[region]\nrx2_frequency_hz = 900000000\n", "900000000 Hz is in no sub-band"),
        ("[region]\nrx2_dr = 12\n", "EU868 has no data rate DR12"),
    ],
)
def test_mistakes_are_named_with_line_and_cure(tmp_path: Path, addition: str, message: str) -> None:
    assert message in refusal(tmp_path, LEAST + addition)


def test_a_closed_way_out_is_refused(tmp_path: Path) -> None:
    assert "the HAN is closed in stand-alone mode" in refusal(tmp_path, LEAST + 'interface = "han"\n')
    assert "is switched off" in refusal(tmp_path, LEAST + 'off = ["lan"]\n')
    assert read(tmp_path, LEAST + 'mode = "smgw"\ninterface = "han"\n').concentrator.interface == "han"


@pytest.mark.parametrize(
    "section, message",
    [
        ('est_url = "http://portal.example"\n', "enrolment.est_url"),
        ('est_url = "https://user:secret@portal.example"\n', "enrolment.est_url"),
        ('est_url = "https://p.example"\nca_fingerprint = "12:34"\n', "enrolment.ca_fingerprint"),
        ('est_url = "https://p.example"\ncert_file = "x"\n', "'cert_file' and 'key_file' belong together"),
        ('est_url = "https://p.example"\ncurve = "x25519"\n', "enrolment.curve"),
        ("", "'est_url' is missing"),
    ],
)
def test_mistakes_about_the_certificate_are_named(tmp_path: Path, section: str, message: str) -> None:
    assert message in refusal(tmp_path, LEAST + '[mqtt]\nhost = "h"\n[enrolment]\n' + section)


def test_a_fingerprint_may_have_colons_and_capitals(tmp_path: Path) -> None:
    pinned = ":".join(["AB"] * 32)
    text = f'[mqtt]\nhost = "h"\n[enrolment]\nest_url = "https://p.example"\nca_fingerprint = "{pinned}"\n'
    enrolment = read(tmp_path, LEAST + text).enrolment
    assert enrolment is not None
    assert enrolment.fingerprint == "ab" * 32
