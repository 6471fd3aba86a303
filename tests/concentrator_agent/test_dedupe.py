"""Copies of one frame become one uplink, the best copy first; a repetition a second later is a frame of its own."""

from concentrator_agent.radio.base import Reception
from concentrator_agent.server.dedupe import MAX_COPIES, MAX_FRAMES, Dedupe


def copy(
    phy: bytes = b"a", gateway: str = "g1", snr: float = 0.0, rssi: float = -80.0, freq: int = 868_100_000
) -> Reception:
    return Reception(phy, gateway, 0, freq, 5, rssi, snr, 0.0, "free")


def test_copies_within_the_window_are_one_uplink_with_the_best_first() -> None:
    dedupe = Dedupe(0.2)
    assert dedupe.add(copy(gateway="g1", snr=1.0), 10.0)
    assert not dedupe.add(copy(gateway="g2", snr=9.0), 10.1)
    assert not dedupe.add(copy(gateway="g3", snr=9.0, rssi=-60.0), 10.19)
    assert dedupe.next_due() == 10.2
    assert dedupe.take(10.19, 10) == []
    (uplink,) = dedupe.take(10.2, 10)
    assert [one.gateway for one in uplink.copies] == ["g3", "g2", "g1"]
    assert uplink.arrived == 10.0
    assert dedupe.next_due() is None


def test_a_late_copy_is_counted_and_a_repetition_is_new() -> None:
    dedupe = Dedupe(0.2)
    dedupe.add(copy(), 0.0)
    dedupe.take(0.2, 10)
    assert not dedupe.add(copy(gateway="g2"), 0.5)
    assert dedupe.late == 1
    assert dedupe.add(copy(), 1.2)


def test_one_gateway_that_hears_a_near_device_on_two_frequencies_counts_once() -> None:
    dedupe = Dedupe(0.2)
    dedupe.add(copy(snr=2.0), 0.0)
    dedupe.add(copy(snr=8.0, freq=868_300_000), 0.01)
    (uplink,) = dedupe.take(0.2, 10)
    assert (len(uplink.copies), uplink.best.freq) == (2, 868_300_000)


def test_a_lonely_gateway_is_not_kept_waiting() -> None:
    dedupe = Dedupe(0.2)
    dedupe.add(copy(b"waits"), 0.0)
    dedupe.add(copy(b"alone"), 0.1, alone=True)
    assert [uplink.phy for uplink in dedupe.take(0.1, 10)] == [b"alone"]
    assert [uplink.phy for uplink in dedupe.take(0.2, 10)] == [b"waits"]


def test_a_batch_is_limited_and_in_order() -> None:
    dedupe = Dedupe(0.1)
    for number in range(5):
        dedupe.add(copy(bytes([number])), number / 100)
    assert [uplink.phy[0] for uplink in dedupe.take(1.0, 3)] == [0, 1, 2]
    assert [uplink.phy[0] for uplink in dedupe.take(1.0, 3)] == [3, 4]


def test_nothing_grows_without_bound() -> None:
    dedupe = Dedupe(0.2)
    for number in range(MAX_COPIES + 5):
        dedupe.add(copy(gateway=str(number)), 0.0)
    for number in range(MAX_FRAMES + 5):
        dedupe.add(copy(number.to_bytes(4, "big")), 0.0)
    assert dedupe.overflow == 6
    uplinks = dedupe.take(0.2, 10**6)
    assert len(uplinks) == MAX_FRAMES
    assert len(uplinks[0].copies) == MAX_COPIES
    dedupe.forget(2.0)
    assert dedupe._frames == {}
