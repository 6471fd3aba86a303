"""What `./run bench` makes of a benchmark that hangs."""

import json
from pathlib import Path

import pytest

from benchmarks import __main__ as running


def test_a_benchmark_that_hangs_costs_the_others_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(running, "SECONDS", 0.01)
    monkeypatch.setattr(running, "ROOT", tmp_path)
    monkeypatch.setattr(running, "RESULTS", tmp_path / "results")
    assert running.main(["clock", "uplink"]) == 1
    (written,) = (tmp_path / "results").iterdir()
    error = {"error": "not done after 0.01 s"}
    assert json.loads(written.read_text()) == {"clock": error, "uplink": error}
    assert "not done after 0.01 s" in capsys.readouterr().out
