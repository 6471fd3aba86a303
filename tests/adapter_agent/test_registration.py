"""What is reported fits into every frame, is told once, and is told again when it has changed."""

from hypothesis import given
from hypothesis import strategies as st

from adapter_agent.registration import LEAST_ROOM, Facts, Registration
from edge.sealedfile import SealedFileError
from meterwire import config_records
from meterwire.config_records import (
    CommissioningReport,
    ConfigurationRefused,
    CounterReport,
    IdentityKind,
    ReadIdentity,
    Resolution,
)
from tests.adapter_agent.cast import DEV_EUI, SERVER_ID
from tests.adapter_agent.radio.network import Memory

IDENTITY = ReadIdentity(0, IdentityKind.SERVER_ID, SERVER_ID)


def registration(file=None, session: int = 1, version: int = 0) -> Registration:
    made = Registration(file or Memory(), DEV_EUI)
    made.look(session, version)
    return made


def tell(made: Registration, facts: Facts, limit: int = 51) -> list:
    """Everything that is due, acknowledged part by part."""
    parts = made.parts(facts, limit)
    for part in parts:
        made.arrived(part, facts.episode)
    return [record for part in parts for record in config_records.decode(part).records]


@given(
    st.integers(0, 242),
    st.lists(st.binary(min_size=1, max_size=20), max_size=8),
    st.dictionaries(st.integers(0, 255).filter(lambda n: 1 <= n & 31 <= 30), st.integers(-12, 12), max_size=60),
)
def test_every_part_fits_and_together_they_tell_everything(limit, names, resolutions):
    identities = [ReadIdentity(number, IdentityKind.SERVER_ID, name) for number, name in enumerate(names)]
    facts = Facts(3, 77, identities, resolutions, 1, 900.0, ConfigurationRefused(4, 1, "x" * 20))
    made = registration()
    parts = made.parts(facts, limit)
    assert all(len(part) <= max(limit, LEAST_ROOM) for part in parts)
    records = tell(made, facts, limit)
    assert {*identities, *(Resolution(*one) for one in resolutions.items())} <= set(records)
    assert made.due(facts) == []


def test_only_what_is_new_is_told_again():
    made = registration()
    assert len(tell(made, Facts(0, 0))) == 3
    assert tell(made, Facts(0, 5)) == [], "the counter is told once a session"
    assert tell(made, Facts(0, 5, [IDENTITY])) == [IDENTITY]
    other = ReadIdentity(0, IdentityKind.TEXT, b"1ESY1313002565")
    assert tell(made, Facts(0, 5, [other], {1: -1})) == [other, Resolution(1, -1)]
    assert tell(made, Facts(0, 5, [other], {1: 3})) == [Resolution(1, 3)]


def test_a_session_and_a_configuration_have_everything_told():
    made = registration()
    tell(made, Facts(0, 0, [IDENTITY]))
    assert not made.look(1, 0)
    assert made.look(2, 0)
    assert len(tell(made, Facts(0, 9, [IDENTITY]))) == 4
    assert made.look(2, 7)
    assert CounterReport(10) in tell(made, Facts(7, 10, [IDENTITY]))


def test_each_commissioning_is_told_once():
    made = registration()
    assert CommissioningReport(900) in tell(made, Facts(0, 0, episode=1, seconds_left=900))
    assert tell(made, Facts(0, 0, episode=1, seconds_left=800)) == []
    assert tell(made, Facts(0, 0, episode=2, seconds_left=900)) == [CommissioningReport(900)]
    assert tell(made, Facts(0, 0, episode=2)) == []


def test_what_arrived_is_known_after_a_restart_and_a_damaged_memory_tells_it_again():
    file = Memory()
    tell(registration(file), Facts(0, 0, [IDENTITY]))
    assert tell(registration(file), Facts(0, 40, [IDENTITY])) == []
    assert len(tell(registration(file, session=2), Facts(0, 40))) == 3
    for content in (b"", b"[]", b'{"session":1}', b'{"session":2,"version":0,"told":{"x":"y"}}', b"\xff"):
        file.content = content
        assert len(tell(registration(file), Facts(0, 0, [IDENTITY]))) == 4


def test_a_full_disk_does_not_keep_it_from_reporting():
    file = Memory()

    def full(content):
        raise SealedFileError("no space left")

    file.write = full
    made = registration(file)
    assert len(tell(made, Facts(0, 0))) == 3
    assert made.due(Facts(0, 0)) == []
