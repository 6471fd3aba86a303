"""The command line: writes a building, checks it, runs it as a process and stops cleanly."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from adapter_agent.simulation import captures, main
from adapter_agent.simulation.config import load
from tests.simulation.driving import within_deadline

VECTORS = Path(__file__).parent.parent / "vectors" / "sml"


def test_a_new_building_is_written_checked_and_never_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "building.toml"
    new = [str(path), "--new", "12", "--gateway", "aa555a0000000101@127.0.0.1:1701", "--air-port", "7001"]
    assert main(new) == 0
    config = load(path)
    assert (len(config.adapter), config.gateway[0].port, config.air.port) == (12, 1701, 7001)
    assert main([str(path), "--check-config"]) == 0
    assert "aa555a0000000101" in capsys.readouterr().out
    assert main(new) == 2
    assert "exists" in capsys.readouterr().err


def test_a_wrong_file_ends_with_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "building.toml").write_text("[[meter]]\nname = 5\n")
    assert main([str(tmp_path / "building.toml")]) == 2
    assert "line 2" in capsys.readouterr().err


def test_a_gateway_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path / "building.toml"), "--new", "1", "--gateway", "nobody@nowhere:x"])
    assert "EUI@HOST:PORT" in capsys.readouterr().err


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
async def test_it_runs_as_a_process_and_stops_when_asked(tmp_path: Path, sign: signal.Signals) -> None:
    path = tmp_path / "building.toml"
    assert main([str(path), "--new", "2", "--gateway", "aa555a0000000101@127.0.0.1:9"]) == 0
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "adapter_agent.simulation", str(path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    ready = (await within_deadline(process.stdout.readline())).decode()
    assert ready.startswith("ready: air on 127.0.0.1:")
    assert (tmp_path / "meters" / "flat-01").exists()
    process.send_signal(sign)
    assert await within_deadline(process.wait()) == 0
    assert not any((tmp_path / "meters").iterdir())


def test_the_captures_in_the_tree_are_those_that_the_simulation_writes(tmp_path: Path) -> None:
    captures.write(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in VECTORS.iterdir()
    }


def test_the_captures_command_wants_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert captures.main([]) == 2
    assert captures.main([str(tmp_path / "sml")]) == 0
    assert "files in" in capsys.readouterr().out
