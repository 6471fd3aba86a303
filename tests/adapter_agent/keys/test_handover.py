"""Transport and meter keys come with the hand-over file; what is stored survives, and older files are read."""

import json

import pytest

from adapter_agent.keys import stored
from adapter_agent.keys.stored import KeyStoreError
from adapter_agent.keystore import KeyStore
from adapter_agent.state_folder import StateFolder
from meterwire.key_messages import KeyRevoke, mac_keys
from tests.adapter_agent.cast import DEV_EUI, INNER_KEY, JOIN_EUI, hand_over, write_hand_over
from tests.adapter_agent.keys.cast import EUI, PORTAL, Adapter, Far, factory, inner, key

HEX = [key(fill).reveal().hex() for fill in range(16)]


@pytest.fixture
def state(tmp_path):
    with StateFolder(tmp_path / "state", tmp_path / "credential") as folder:
        yield folder


def store(state, *, root: bool = True, inner: bool = True) -> KeyStore:
    return KeyStore(state, DEV_EUI, JOIN_EUI, root=root, inner=inner)


def test_transport_and_meter_keys_are_held(state, tmp_path):
    file = write_hand_over(
        tmp_path / "keys.json",
        transport_keys=[
            {"partner": EUI, "key": HEX[4]},
            {"partner": "portal", "key": HEX[3]},
            {"partner": "00800000a0005678", "key": HEX[5], "slot": 1},
        ],
        meter_keys=[{"input": 0, "key": HEX[6]}, {"input": 7, "key": HEX[7]}],
    )
    store(state).provision(file)
    keys = store(state).load()
    partners = {one.name: (one.slot, one.transport.reveal().hex()) for one in keys.ring.holding.partners}
    assert partners == {"portal": (0, HEX[3]), EUI: (2, HEX[4]), "00800000a0005678": (1, HEX[5])}
    assert keys.meter_key(7) == key(7)
    assert keys.meter_key(1) is None
    sealed = (state.folder / "keys.sealed").read_bytes()
    assert not any(digits.encode() in sealed or bytes.fromhex(digits) in sealed for digits in HEX[3:8])


@pytest.mark.parametrize(
    "changes",
    [
        {"transport_keys": [{"partner": "portal", "key": HEX[3]}] * 2},
        {"transport_keys": [{"partner": "portal", "key": HEX[3]}, {"partner": EUI, "key": HEX[3]}]},
        {"transport_keys": [{"partner": EUI, "key": HEX[3], "slot": 0}]},
        {"transport_keys": [{"partner": f"{number:016x}", "key": HEX[number]} for number in range(8)]},
        {"transport_keys": [{"partner": f"{number:016x}", "key": HEX[number]} for number in range(9)]},
        {"transport_keys": [{"partner": "portal", "key": HEX[3][:-1]}]},
        {"transport_keys": [{"partner": "portal", "key": HEX[3], "seq": 5}]},
        {"meter_keys": [{"input": 8, "key": HEX[3]}]},
        {"meter_keys": [{"input": 1, "key": HEX[3]}, {"input": 1, "key": HEX[4]}]},
    ],
)
def test_keys_that_do_not_fit_are_refused_and_not_shown(state, tmp_path, changes):
    file = write_hand_over(tmp_path / "keys.json", **changes)
    with pytest.raises(KeyStoreError) as refused:
        store(state).provision(file)
    assert not any(digits in str(refused.value) for digits in HEX)
    assert file.exists()


def test_a_board_that_does_not_seal_takes_no_part_in_the_exchange(state, tmp_path):
    file = write_hand_over(tmp_path / "keys.json", transport_keys=[{"partner": "portal", "key": HEX[3]}])
    store(state, inner=False).provision(file)
    assert store(state, inner=False).load().ring.holding.partners == ()


def test_the_same_transport_key_again_does_not_let_old_requests_pass(state, tmp_path):
    more = {"transport_keys": [{"partner": "portal", "key": PORTAL.reveal().hex()}]}
    store(state).provision(write_hand_over(tmp_path / "keys.json", **more))
    ring = store(state).load().ring
    adapter = Adapter()
    adapter.load = lambda: ring
    adapter.restart()
    revocation = KeyRevoke(7, inner(5)).encode(mac_keys(PORTAL).down, DEV_EUI)
    adapter.requests.take(revocation)
    store(state).provision(write_hand_over(tmp_path / "keys.json", **more))
    [partner] = store(state).load().ring.holding.partners
    assert partner.seq == 7
    more["transport_keys"][0]["key"] = HEX[3]
    store(state).provision(write_hand_over(tmp_path / "keys.json", **more))
    assert store(state).load().ring.holding.partners[0].seq == 0


def test_damaged_keys_are_no_obstacle_to_provisioning(state, tmp_path, caplog):
    more = {"transport_keys": [{"partner": "portal", "key": HEX[3]}]}
    store(state).provision(write_hand_over(tmp_path / "keys.json", **more))
    (state.folder / "keys.sealed").write_bytes(b"MSPAN1" + bytes(64))
    store(state).provision(write_hand_over(tmp_path / "keys.json", **more))
    assert store(state).load().inner.by_slot(1).key.reveal() == INNER_KEY
    assert "begin anew" in caplog.text


def test_a_file_of_an_earlier_release_is_read(state):
    content = {**hand_over(), "counter": 0}
    state.file("keys").write(json.dumps(content).encode())
    keys = store(state).load()
    assert keys.inner.by_slot(1).key.reveal() == INNER_KEY
    assert keys.ring.holding.partners == ()


def test_everything_held_is_stored_and_read_again():
    adapter = Adapter()
    portal = Far(adapter)
    portal.deliver(inner(2, tag_length=8), key(2), begin=1, end=2**32 - 1)
    adapter.seal()
    portal.offer(inner(3))
    holding = adapter.ring.holding
    assert holding.partners[0].candidate is not None
    assert stored.decode(stored.encode(holding, DEV_EUI, JOIN_EUI), "it") == (holding, DEV_EUI, JOIN_EUI)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("inner_keys", [{"slot": 1, "key": HEX[1], "standing": 9}]),
        ("inner_keys", [{"slot": 1, "key": HEX[1]}] * 2),
        ("inner_keys", [{"slot": 1, "key": HEX[1]}] * 9),
        ("transport_keys", [{"partner": "portal", "slot": 0, "key": HEX[1], "request": "0"}]),
        ("transport_keys", [{"partner": "portal", "slot": 0, "key": HEX[1], "seq": 65536}]),
        ("transport_keys", [{"partner": "portal", "slot": 0, "key": HEX[1], "candidate": {"place": 1}}]),
        ("meter_keys", [{"input": 9, "key": HEX[1]}]),
    ],
)
def test_damaged_content_is_named_and_no_key_shown(part, value):
    content = json.loads(stored.encode(factory(), DEV_EUI, JOIN_EUI)) | {part: value}
    with pytest.raises(KeyStoreError) as refused:
        stored.decode(json.dumps(content).encode(), "keys.sealed")
    assert HEX[1] not in str(refused.value)
