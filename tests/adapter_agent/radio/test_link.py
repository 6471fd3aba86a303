"""What the network may set, and how a device answers."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_agent.radio.link import Link
from meterwire.errors import FormatError
from meterwire.lorawan import mac_commands as mac
from meterwire.lorawan.frame import JoinAccept
from meterwire.lorawan.region import EU868, FrequencyPlanError


def link(rate: int = 5) -> Link:
    accept = JoinAccept(1, 0x13, 0x26011234, cflist=(867_100_000, 867_300_000))
    return Link.accepted(EU868, rate, accept)


def answer(made: Link, *commands: mac.MacCommand, snr: float = 7.0) -> list[mac.MacCommand]:
    return made.answer(commands, snr)


def frequencies(made: Link) -> set[int]:
    return {channel.frequency_hz // 100_000 for channel in made.usable()}


def test_a_data_rate_request_is_all_or_nothing():
    made = link()
    assert answer(made, mac.LinkADRReq(3, 2, 0b11111, 0, 2)) == [mac.LinkADRAns(True, True, True)]
    assert (made.data_rate, made.tx_power, made.nb_trans) == (3, 2, 2)
    for request, verdict in [
        (mac.LinkADRReq(2, 3, 0b100000, 0, 1), mac.LinkADRAns(False, False, True)),  # no such channel
        (mac.LinkADRReq(2, 3, 0, 0, 1), mac.LinkADRAns(False, False, True)),  # no channel at all
        (mac.LinkADRReq(2, 3, 0b111, 3, 1), mac.LinkADRAns(False, True, True)),  # reserved mask control
        (mac.LinkADRReq(14, 3, 0b111, 0, 1), mac.LinkADRAns(True, False, True)),  # no such rate
        (mac.LinkADRReq(2, 9, 0b111, 0, 1), mac.LinkADRAns(True, True, False)),  # no such power
    ]:
        assert answer(made, request) == [verdict]
        assert (made.data_rate, made.tx_power, made.nb_trans) == (3, 2, 2)


def test_fifteen_keeps_rate_and_power_and_no_repetition_count_keeps_that():
    made = link(4)
    answer(made, mac.LinkADRReq(15, 3, 0b00111, 0, 3))
    answer(made, mac.LinkADRReq(15, 15, 0b00111, 0, 0))
    assert (made.data_rate, made.tx_power, made.nb_trans) == (4, 3, 3)


def test_adjacent_requests_are_one_block_with_an_answer_each():
    made = link()
    block = [mac.LinkADRReq(3, 0, 0, 6, 1), mac.LinkADRReq(2, 1, 0b1, 0, 1)]
    assert answer(made, *block) == [mac.LinkADRAns(True, True, True)] * 2
    assert frequencies(made) == {8681}
    assert (made.data_rate, made.tx_power) == (2, 1)
    split = [mac.LinkADRReq(4, 0, 0b10, 0, 1), mac.DevStatusReq(), mac.LinkADRReq(99 % 16, 0, 0b100000, 0, 1)]
    good, status, bad = answer(made, *split)
    assert good == mac.LinkADRAns(True, True, True)
    assert isinstance(status, mac.DevStatusAns)
    assert not bad.channel_mask_ack
    assert frequencies(made) == {8683}


def test_channels_come_change_and_go_but_the_three_default_ones_stay():
    made = link()
    assert answer(made, mac.NewChannelReq(5, 867_500_000, 0, 5)) == [mac.NewChannelAns(True, True)]
    assert 8675 in frequencies(made)
    assert answer(made, mac.NewChannelReq(5, 0)) == [mac.NewChannelAns(True, True)]
    assert 8675 not in frequencies(made)
    for index in (0, 1, 2, 16, 255):
        assert not answer(made, mac.NewChannelReq(index, 867_500_000, 0, 5))[0].frequency_ok
        assert not answer(made, mac.NewChannelReq(index, 0, 0, 5))[0].frequency_ok
    assert not answer(made, mac.NewChannelReq(5, 870_500_000))[0].frequency_ok
    assert not answer(made, mac.NewChannelReq(5, 867_500_000, 5, 0))[0].data_rates_ok
    assert not answer(made, mac.NewChannelReq(5, 867_500_000, 0, 12))[0].data_rates_ok
    assert frequencies(made) == {8671, 8673, 8681, 8683, 8685}


def test_windows_move_only_to_where_the_region_lets_them():
    made = link()
    assert answer(made, mac.RXParamSetupReq(2, 3, 868_500_000)) == [mac.RXParamSetupAns(True, True, True)]
    assert (made.rx1_dr_offset, made.rx2_dr, made.rx2_hz) == (2, 3, 868_500_000)
    assert answer(made, mac.RXParamSetupReq(7, 15, 900_000_000)) == [mac.RXParamSetupAns(False, False, False)]
    assert (made.rx1_dr_offset, made.rx2_dr, made.rx2_hz) == (2, 3, 868_500_000)
    for asked, seconds in ((0, 1), (1, 1), (15, 15)):
        assert answer(made, mac.RXTimingSetupReq(asked)) == [mac.RXTimingSetupAns()]
        assert made.rx_delay_s == seconds
    assert answer(made, mac.DlChannelReq(1, 869_525_000)) == [mac.DlChannelAns(True, True)]
    assert made.channels[1].downlink_hz == 869_525_000
    assert answer(made, mac.DlChannelReq(9, 869_525_000)) == [mac.DlChannelAns(True, False)]
    assert answer(made, mac.DlChannelReq(1, 900_000_000)) == [mac.DlChannelAns(False, True)]


@pytest.mark.parametrize(("snr", "margin"), [(7.4, 7), (-40.0, -32), (40.0, 31), (-0.6, -1)])
def test_status_tells_external_power_and_the_snr_of_the_request(snr, margin):
    assert answer(link(), mac.DevStatusReq(), snr=snr) == [mac.DevStatusAns(0, margin)]


def test_what_is_no_request_to_a_device_of_this_region_stays_unanswered():
    assert answer(link(), mac.TXParamSetupReq(True, True, 5), mac.LinkCheckAns(1, 1), mac.DeviceTimeAns(1, 0)) == []


def test_a_join_accept_that_the_region_does_not_allow_is_refused():
    for accept in (JoinAccept(1, 0, 0, rx1_dr_offset=7), JoinAccept(1, 0, 0, rx2_dr=15)):
        with pytest.raises(FrequencyPlanError):
            Link.accepted(EU868, 5, accept)
    foreign = Link.accepted(EU868, 5, JoinAccept(1, 0, 0, cflist=(0, 902_300_000, 867_100_000)))
    assert frequencies(foreign) == {8671, 8681, 8683, 8685}


COMMANDS = st.one_of(
    st.builds(
        mac.LinkADRReq,
        st.integers(0, 15),
        st.integers(0, 15),
        st.integers(0, 0xFFFF),
        st.integers(0, 7),
        st.integers(0, 15),
    ),
    st.builds(mac.DutyCycleReq, st.integers(0, 15)),
    st.builds(
        mac.RXParamSetupReq, st.integers(0, 7), st.integers(0, 15), st.integers(0, 0xFFFFFF).map(lambda n: n * 100)
    ),
    st.builds(
        mac.NewChannelReq,
        st.integers(0, 255),
        st.sampled_from([0, 867_500_000, 868_800_000, 900_000_000]),
        st.integers(0, 15),
        st.integers(0, 15),
    ),
    st.builds(mac.RXTimingSetupReq, st.integers(0, 15)),
    st.builds(mac.DlChannelReq, st.integers(0, 255), st.sampled_from([0, 867_500_000, 900_000_000])),
    st.builds(mac.DevStatusReq),
)


@given(st.lists(COMMANDS, max_size=12), st.floats(-100, 100))
def test_nothing_a_network_says_leaves_a_device_that_cannot_send_or_forgets_it(commands, snr):
    made = link()
    answers = made.answer(commands, snr)
    assert len(answers) == len(commands)
    mac.encode_commands(answers)
    assert any(channel.enabled for channel in made.channels.values())
    assert all(EU868.allows(channel.frequency_hz) for channel in made.channels.values())
    assert Link.from_state(json.loads(json.dumps(made.to_state()))) == made


def test_damaged_settings_are_an_error_of_their_own():
    state = link().to_state()
    for damage in ({}, {**state, "region": "XX"}, {**state, "channels": {"a": {}}}, {**state, "data_rate": None}):
        with pytest.raises(FormatError):
            Link.from_state(damage)
