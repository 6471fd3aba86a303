"""Ways to press the button: a file's rising edge, a signal, a command; and what is said where nobody hears it."""

import asyncio
import signal

import pytest

from adapter_agent.button import LOOK_S, watch
from adapter_agent.cli import main
from adapter_agent.state_folder import StateFolder
from edge.clock import ManualClock
from tests.adapter_agent.cast import write_hand_over
from tests.adapter_agent.radio.air import AirServer
from tests.adapter_agent.test_daemon import configuration, start, stop, until_logged


async def presses(file, levels) -> list[int]:
    """At which of `levels` (None: no file) it counted as pressed."""
    clock, seen, number = ManualClock(), [], 0
    task = asyncio.create_task(watch(file, clock, lambda: seen.append(number)))
    for number, level in enumerate(levels):  # noqa: B007 -- the callback reads it
        file.unlink(missing_ok=True)
        if level is not None:
            file.write_bytes(level)
        await clock.advance(LOOK_S)
    task.cancel()
    return seen


@pytest.mark.parametrize(
    ("levels", "pressed"),
    [
        ([b"0\n", b"1\n", b"1\n", b"0\n", b"1\n"], [1, 4]),
        ([b"1\n", b"1\n", b"0\n", b"1"], [3]),
        ([None, None, b"0", b"1"], [3]),
        ([b"0", None, b"1"], [2]),
        ([b"0", b"", b"x", b"1" * 100, b"0"], []),
    ],
    ids=["edges", "held down at the start", "no line yet", "gone for a while", "nonsense"],
)
async def test_only_a_rising_edge_is_a_press(tmp_path, levels, pressed):
    assert await presses(tmp_path / "value", levels) == pressed


async def test_signal_and_command_line_reach_the_running_daemon(tmp_path, capsys):
    air = AirServer()
    await air.start()
    config = configuration(tmp_path, air.port, str(tmp_path / "meter"))
    config.write_text(config.read_text().replace("minutes = 0", f'minutes = 5\nbutton = "{tmp_path / "button"}"'))
    main(["provision", "--config", str(config), "--keys", str(write_hand_over(tmp_path / "keys.json"))])
    (tmp_path / "button").write_text("0")  # which it looks at before anything else
    process = await start(config)
    log = await until_logged(process, "joined")
    capsys.readouterr()
    assert main(["commission", "--config", str(config)]) == 0
    assert "the button is pressed" in capsys.readouterr().err
    log += await until_logged(process, "commissioning begins")
    (tmp_path / "button").write_text("1")
    log += await until_logged(process, "commissioning begins")
    log += await stop(process, signal.SIGTERM)
    assert process.returncode == 0
    assert log.count("commissioning begins") == 3  # first power-up, signal, button
    await air.stop()


def test_without_a_daemon_the_command_says_so(tmp_path, capsys):
    config = configuration(tmp_path, 1, "meter")
    assert main(["commission", "--config", str(config)]) == 2
    assert "no adapter-agent runs" in capsys.readouterr().err
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "lock").write_text("1\n")  # left by one that was killed
    assert main(["commission", "--config", str(config)]) == 2


def test_a_process_that_did_not_announce_itself_gets_no_signal(tmp_path, capsys):
    config = configuration(tmp_path, 1, "meter")
    with StateFolder(tmp_path / "state", tmp_path / "state" / "credential"):
        assert main(["commission", "--config", str(config)]) == 2
    assert "no adapter-agent runs" in capsys.readouterr().err


def test_an_interface_board_sends_people_to_the_base_board(tmp_path, capsys):
    config = configuration(tmp_path, 1, "meter")
    text = config.read_text() + '[coupling]\ndevice = "line"\ncarries = "telegram"\n'
    config.write_text(text.split("[radio]")[0] + "[clock]" + text.split("[clock]")[1])
    assert main(["commission", "--config", str(config)]) == 2
    assert "base board" in capsys.readouterr().err
