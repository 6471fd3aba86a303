"""Keys come from a hand-over file, are sealed, and the inner counter never goes back."""

import shutil
import stat

import pytest

from adapter_agent.keystore import KeyStore, KeyStoreError
from adapter_agent.state_folder import StateFolder, StateInUse
from edge.sealedfile import SealedFileError
from meterwire.counter import Counter
from meterwire.seal import InnerKey
from tests.adapter_agent.cast import BEGIN, DEV_EUI, INNER_KEY, JOIN_EUI, ROOT_KEY, hand_over, iso, write_hand_over


@pytest.fixture
def state(tmp_path):
    with StateFolder(tmp_path / "state", tmp_path / "credential") as folder:
        yield folder


def store(state, *, root: bool = True, inner: bool = True) -> KeyStore:
    return KeyStore(state, DEV_EUI, JOIN_EUI, root=root, inner=inner)


def test_keys_are_sealed_and_the_hand_over_file_is_gone(state, tmp_path):
    file = write_hand_over(tmp_path / "keys.json")
    store(state).provision(file)
    assert not file.exists()
    for sealed in state.folder.iterdir():
        assert stat.S_IMODE(sealed.stat().st_mode) & 0o077 == 0
        content = sealed.read_bytes()
        for key in (ROOT_KEY, INNER_KEY):
            assert key not in content
            assert key.hex().encode() not in content
    keys = store(state).load()
    entry = keys.inner.choose("inner", BEGIN)
    assert (entry.slot, entry.key) == (1, InnerKey(INNER_KEY))
    assert (entry.not_before, entry.not_after) == (BEGIN - 3600, BEGIN + 365 * 86_400)
    assert "00010203" not in repr(keys)


def test_an_adapter_without_keys_says_what_to_do(state):
    with pytest.raises(KeyStoreError, match="provision"):
        store(state).load()


def test_new_keys_do_not_restart_the_counter(state, tmp_path):
    store(state).provision(write_hand_over(tmp_path / "keys.json"))
    counter = Counter(store(state).counter())
    used = [counter.next() for _ in range(3)]
    store(state).provision(write_hand_over(tmp_path / "keys.json"))
    assert Counter(store(state).counter()).next() > max(used)


def test_a_replaced_adapter_goes_on_where_the_portal_says(state, tmp_path):
    store(state).provision(write_hand_over(tmp_path / "keys.json", counter=5000))
    assert Counter(store(state).counter()).next() == 5000
    store(state).provision(write_hand_over(tmp_path / "keys.json", counter=100))
    assert Counter(store(state).counter()).next() > 5000


def test_a_lost_counter_stops_the_adapter_instead_of_starting_at_zero(state, tmp_path):
    store(state).provision(write_hand_over(tmp_path / "keys.json"))
    (state.folder / "counter.sealed").unlink()
    with pytest.raises(KeyStoreError, match="lost"):
        store(state).counter()


def test_a_divided_adapter_keeps_on_each_board_only_what_it_needs(tmp_path):
    with StateFolder(tmp_path / "base", tmp_path / "one") as base:
        store(base, inner=False).provision(write_hand_over(tmp_path / "keys.json"))
        keys = store(base, inner=False).load()
        assert keys.root is not None
        assert len(keys.inner) == 0
    with StateFolder(tmp_path / "board", tmp_path / "two") as board:
        store(board, root=False).provision(write_hand_over(tmp_path / "keys.json"))
        keys = store(board, root=False).load()
        assert keys.root is None
        assert len(keys.inner) == 1


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"dev_eui": "70b3d57ed0069999"}, "for the adapter 70b3d57ed0069999"),
        ({"root_key": "00"}, "root_key"),
        ({"root_key": None}, "root key"),
        ({"extra": 1}, "extra"),
        ({"dev_eui": "x"}, "16 hex digits"),
        ({"inner_keys": [{"slot": 8, "key": "00" * 16}]}, "slot"),
        ({"inner_keys": [{"slot": 1, "key": "00" * 16, "tag_length": 5}]}, "tag_length"),
        ({"inner_keys": [{"slot": 1, "key": "00" * 16}] * 2}, "one slot"),
        ({"inner_keys": [{"slot": 1, "key": "00" * 16, "not_after": "2026-01-01T00:00:00"}]}, "time zone"),
        (
            {"inner_keys": [{"slot": 1, "key": "00" * 16, "not_before": iso(2), "not_after": iso(1)}]},
            "never be valid",
        ),
    ],
)
def test_a_hand_over_file_that_does_not_fit_is_refused_and_kept(state, tmp_path, changes, complaint):
    file = write_hand_over(tmp_path / "keys.json", **changes)
    with pytest.raises(Exception, match=complaint) as refused:
        store(state).provision(file)
    assert hand_over()["root_key"] not in str(refused.value)
    assert file.exists()
    with pytest.raises(KeyStoreError):
        store(state).load()


def test_a_hand_over_file_open_to_others_is_refused(state, tmp_path):
    file = write_hand_over(tmp_path / "keys.json", mode=0o640)
    with pytest.raises(KeyStoreError, match="chmod 600"):
        store(state).provision(file)


def test_a_hand_over_file_that_is_none_is_refused(state, tmp_path):
    for content in (b"", b"[]", b"\xff\xfe", b"{" * 5000, b'{"dev_eui"' + b" " * 100_000):
        file = tmp_path / "keys.json"
        file.write_bytes(content)
        file.chmod(0o600)
        with pytest.raises(KeyStoreError):
            store(state).provision(file)
    with pytest.raises(KeyStoreError, match="cannot be read"):
        store(state).provision(tmp_path / "absent.json")


def test_the_state_belongs_to_one_process_at_a_time(state, tmp_path):
    with pytest.raises(StateInUse), StateFolder(state.folder, tmp_path / "credential"):
        pass


def test_the_state_does_not_open_under_another_credential(state, tmp_path):
    store(state).provision(write_hand_over(tmp_path / "keys.json"))
    moved = tmp_path / "elsewhere"
    shutil.copytree(state.folder, moved)
    with StateFolder(moved, tmp_path / "other-credential") as thief, pytest.raises(SealedFileError):
        store(thief).load()


def test_what_a_write_cut_off_has_left_is_removed_at_the_next_start(tmp_path):
    with StateFolder(tmp_path / "state", tmp_path / "credential") as state:
        store(state).provision(write_hand_over(tmp_path / "keys.json"))
        (state.folder / ".keys.sealed.0badcafe.new").write_bytes(b"half")
    with StateFolder(tmp_path / "state", tmp_path / "credential") as state:
        assert sorted(file.name for file in state.folder.iterdir()) == ["counter.sealed", "keys.sealed", "lock"]
        assert store(state).load().inner.by_slot(1)
