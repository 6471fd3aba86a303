"""Asks lora-packet (npm, MIT), an independent LoRaWAN implementation, what it reads in our frames."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

_FOLDER = Path(__file__).parent
_NODE = shutil.which("node")
_INSTALLED = (_FOLDER / "node_modules" / "lora-packet").is_dir()

needs_lora_packet = pytest.mark.skipif(
    _NODE is None or not _INSTALLED,
    reason="lora-packet is not there: install Node.js, then `npm ci --prefix tests/judges` (./run test does both)",
)


def judge(questions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One answer per question, see lora_packet_judge.js for both."""
    assert _NODE is not None
    run = subprocess.run(
        [_NODE, str(_FOLDER / "lora_packet_judge.js")],
        input="".join(json.dumps(question) + "\n" for question in questions),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(answers) == len(questions), run.stderr
    return answers
