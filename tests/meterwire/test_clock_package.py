"""Port 202: the vectors of an independent implementation of TS003, and our answer."""

import pytest

from meterwire.clock_package import (
    MAX_COMMANDS,
    AppTimeAns,
    AppTimeReq,
    ClockAnswer,
    ClockForecast,
    ClockQuality,
    DeviceAppTimePeriodicityAns,
    DeviceAppTimePeriodicityReq,
    ForceDeviceResyncReq,
    PackageVersionAns,
    PackageVersionReq,
    decode_down,
    read_down,
    read_up,
)
from meterwire.errors import FormatError, LimitExceeded

# brocaar/lorawan, applayer/clocksync/clocksync_test.go
UP = [
    (PackageVersionAns(1, 1), "000101"),
    (AppTimeReq(134_480_385, 5, answer_required=True), "010102040815"),
    (DeviceAppTimePeriodicityAns(134_480_385, not_supported=True), "020101020408"),
]
DOWN = [
    (PackageVersionReq(), "00"),
    (AppTimeAns(-134_480_385, 5), "01fffdfbf705"),
    (DeviceAppTimePeriodicityReq(5), "0205"),
    (ForceDeviceResyncReq(5), "0305"),
    # ours, by hand from the layout in docs/formats.md
    (ClockAnswer(0x1234, -45_000, 1_500, 7, ClockQuality.NTP), "801234ffff50380005dc000702"),
    (ClockAnswer(0xFFFF, 2_000_000, -20_000, 65_535, ClockQuality.GPS, leap_soon=True), "80ffff001e8480ffb1e0ffff83"),
    (ClockForecast(24, 1250), "811804e2"),
    (ClockForecast(255, 65_535), "81ffffff"),
]


@pytest.mark.parametrize(("command", "vector"), UP)
def test_uplink_commands_have_the_published_bytes(command: AppTimeReq, vector: str) -> None:
    assert command.encode().hex() == vector
    assert read_up(bytes.fromhex(vector)) == ([command], None)


@pytest.mark.parametrize(("command", "vector"), DOWN)
def test_downlink_commands_have_the_published_bytes(command: ClockAnswer, vector: str) -> None:
    assert command.encode().hex() == vector
    assert decode_down(bytes.fromhex(vector)) == [command]


def test_commands_follow_each_other_in_one_payload() -> None:
    assert decode_down(b"".join(command.encode() for command, _ in DOWN)) == [command for command, _ in DOWN]


@pytest.mark.parametrize("vector", [vector for _, vector in DOWN if len(vector) > 2])
def test_a_cut_command_is_refused(vector: str) -> None:
    with pytest.raises(FormatError, match="bytes behind its command"):
        decode_down(bytes.fromhex(vector)[:-1])


def test_an_unknown_command_is_refused() -> None:
    with pytest.raises(FormatError, match="0x05 of port 202 is not known in this direction"):
        decode_down(b"\x05")
    commands, wrong = read_up(bytes.fromhex("801234ffff50380005dc000702"))
    assert commands == []
    assert "0x80 of port 202 is not known in this direction" in str(wrong)


@pytest.mark.parametrize(
    ("rest", "word"), [("7f00", "0x7f"), ("0102", "bytes behind"), (bytes.fromhex("000101").hex() * 16, "more than 16")]
)
def test_what_stands_before_a_command_that_cannot_be_read_is_good(rest: str, word: str) -> None:
    question = AppTimeReq(134_480_385, 5, answer_required=True)
    commands, wrong = read_up(question.encode() + bytes.fromhex(rest))
    assert commands[0] == question
    assert len(commands) <= MAX_COMMANDS
    assert word in str(wrong)


def test_what_stands_before_an_answer_of_a_quality_that_does_not_exist_is_good() -> None:
    commands, wrong = read_down(bytes.fromhex("0305" + "801234ffff50380005dc000704"))
    assert commands == [ForceDeviceResyncReq(5)]
    assert "clock quality 4" in str(wrong)


def test_too_many_commands_are_refused() -> None:
    with pytest.raises(LimitExceeded):
        decode_down(bytes(MAX_COMMANDS + 1))


def test_a_quality_that_does_not_exist_is_refused() -> None:
    with pytest.raises(FormatError, match="clock quality 4"):
        decode_down(bytes.fromhex("801234ffff50380005dc000704"))


@pytest.mark.parametrize(
    "command",
    [
        ClockAnswer(1, 1 << 31, 0, 0, ClockQuality.NTP),
        ClockAnswer(1, 0, -(1 << 23) - 1, 0, ClockQuality.NTP),
        ClockAnswer(1 << 16, 0, 0, 0, ClockQuality.NTP),
        ClockAnswer(1, 0, 0, 1 << 16, ClockQuality.NTP),
        AppTimeAns(1 << 31, 0),
        DeviceAppTimePeriodicityReq(256),
    ],
)
def test_values_that_do_not_fit_are_refused(command: ClockAnswer) -> None:
    with pytest.raises(FormatError, match=r"fit|16 bits"):
        command.encode()


@pytest.mark.parametrize(
    "forecast", [ClockForecast(0, 1), ClockForecast(256, 1), ClockForecast(1, -1), ClockForecast(1, 65_536)]
)
def test_a_forecast_that_does_not_fit_is_refused(forecast: ClockForecast) -> None:
    with pytest.raises(FormatError, match="1 to 255 quarters of an hour, of at most 65535 ppb"):
        forecast.encode()


def test_a_forecast_for_no_time_is_refused_and_the_answer_before_it_is_good() -> None:
    answer = ClockAnswer(1, 2, 3, 4, ClockQuality.NTP)
    commands, wrong = read_down(answer.encode() + bytes.fromhex("81000001"))
    assert commands == [answer]
    assert "no time at all" in str(wrong)
