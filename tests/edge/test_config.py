"""Configuration: what can be written, and how each mistake is answered."""

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from edge.config import ConfigError, Secret, effective, load, parse
from edge.toml_lines import line_of


@dataclass(frozen=True)
class Udp:
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 1700


@dataclass(frozen=True)
class Input:
    device: Path
    number: Annotated[int, Meta(ge=0, le=7)] = 0

    def __post_init__(self) -> None:
        if self.device.name == "nul":
            raise ValueError("a device called nul is none")


@dataclass(frozen=True)
class Config:
    name: str
    udp: Udp = Udp()
    input: tuple[Input, ...] = ()
    password: Secret | None = None
    key_file: Path | None = None
    extra: dict[str, Any] = field(default_factory=dict)


SOURCE = Path("/etc/meterspan/agent.toml")
GOOD = """\
name = "cellar"   # a comment
key_file = "keys/root"
password = "hunter2"

[udp]
port = 1701

[[input]]
device = "/dev/ttyUSB0"

[[input]]
device = "capture.bin"
number = 1

[extra]
anything = [1, 2]
"""


def convert(text: str) -> Config:
    return parse(text, SOURCE).convert(Config)


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        convert(text)
    return str(caught.value)


def test_a_good_file_becomes_frozen_values_and_relative_paths_start_at_the_file() -> None:
    config = convert(GOOD)
    assert config.udp == Udp(port=1701)
    assert config.input == (Input(Path("/dev/ttyUSB0")), Input(SOURCE.parent / "capture.bin", 1))
    assert config.key_file == SOURCE.parent / "keys/root"
    assert config.password is not None
    assert config.password.reveal() == "hunter2"
    assert "hunter2" not in repr(config)


def test_an_unknown_key_names_its_line_and_the_likely_meaning() -> None:
    assert refusal('name = "a"\n\n[udp]\nhots = "x"\n') == (
        "/etc/meterspan/agent.toml, line 4: unknown key 'hots'; did you mean 'host'?"
    )


def test_an_unknown_key_without_a_likeness_lists_what_is_known() -> None:
    assert refusal('name = "a"\n[udp]\nzzz = 1\n').endswith("line 3: unknown key 'zzz'; known here: host, port")


def test_an_unknown_key_in_the_second_of_an_array_is_found_there() -> None:
    text = 'name = "a"\n[[input]]\ndevice = "x"\n[[input]]\ndevice = "y"\nnumbr = 2\n'
    assert "line 6: unknown key 'numbr'; did you mean 'number'?" in refusal(text)


def test_a_wrong_type_names_line_and_expectation() -> None:
    message = refusal('name = "a"\n[udp]\nport = "x"\n')
    assert "line 3: 'udp.port': expected `int`, got `str`; correct the value" in message


def test_a_value_out_of_range_names_the_bound() -> None:
    assert "line 3: 'udp.port': expected `int` <= 65535" in refusal('name = "a"\n[udp]\nport = 70000\n')


def test_a_missing_key_says_what_to_add() -> None:
    assert "line 3: 'device' is missing; add a line 'device = …' to [input[0]]" in refusal('name = "a"\n\n[[input]]\n')
    assert "'name' is missing; add 'name'" in refusal("")


def test_a_rule_of_the_type_itself_is_reported_at_its_table() -> None:
    assert "line 2: 'input[0]': a device called nul is none" in refusal('name = "a"\n[[input]]\ndevice = "/nul"\n')


def test_broken_toml_names_the_line() -> None:
    assert refusal('name = "a"\n= 3\n').startswith("/etc/meterspan/agent.toml, line 2: no valid TOML")


def test_deep_nesting_is_an_error_and_no_crash() -> None:
    assert "no valid TOML" in refusal("a = " + "[" * 5000 + "]" * 5000)


def test_a_registry_converts_its_own_section_and_leaves_the_common_keys_alone() -> None:
    document = parse('[radio]\ntype = "virtual"\nport = 5\n', SOURCE)
    assert document.convert(Udp, "radio", ignore=("type",)) == Udp(port=5)
    assert "line 2" in str(document.error("radio.type", "no such radio 'virtual'", "use one of …"))


def test_an_absent_file_and_a_binary_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere.toml cannot be read"):
        load(tmp_path / "nowhere.toml", Config)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        load(tmp_path / "binary.toml", Config)


def test_the_effective_configuration_shows_defaults_and_hides_secrets() -> None:
    text = effective(convert(GOOD))
    assert 'host = "127.0.0.1"' in text
    assert 'password = "********"' in text
    assert "hunter2" not in text
    assert text.count("[[input]]") == 2
    assert 'key_file = "/etc/meterspan/keys/root"' in text


@given(st.text(max_size=200))
def test_whatever_the_text_only_a_config_error_is_raised(text: str) -> None:
    with contextlib.suppress(ConfigError):
        convert(text)


@given(st.text(max_size=300), st.lists(st.one_of(st.text(max_size=5), st.integers(0, 3)), max_size=3))
def test_a_line_is_always_inside_the_text(text: str, steps: list[str | int]) -> None:
    assert 1 <= line_of(text, steps) <= max(1, len(text.splitlines()))
