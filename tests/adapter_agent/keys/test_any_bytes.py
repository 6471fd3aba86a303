"""Whatever a partner puts under an authentic mac, the adapter goes on, answers within bounds, and keeps a key."""

from hypothesis import given, settings
from hypothesis import strategies as st

from meterwire.key_messages import MAX_PAYLOAD, MESSAGES, decode, verify
from meterwire.key_messages.protection import tag
from tests.adapter_agent.cast import DEV_EUI
from tests.adapter_agent.keys.cast import CONCENTRATOR, PORTAL, Adapter, Far

down = [kind for kind in MESSAGES.values() if kind.type < 0x80]
shaped = st.sampled_from(down).flatmap(
    lambda kind: st.tuples(
        st.just(bytes((kind.type,))),
        st.binary(min_size=2, max_size=2),
        st.binary(min_size=kind.sizes[0], max_size=kind.sizes[0]),
    ).map(b"".join)
)
anything = st.one_of(shaped, st.binary(max_size=60))


@settings(derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([PORTAL, CONCENTRATOR]), anything), max_size=6))
def test_any_authentic_bytes_are_handled(messages) -> None:
    adapter = Adapter()
    for transport, message in messages:
        far = Far(adapter, transport)
        adapter.requests.take(message + tag(message, far.macs.down, DEV_EUI))
        for payload in adapter.said():
            verify(payload, far.macs.up, DEV_EUI)
            decode(payload, up=True)
            assert len(payload) <= MAX_PAYLOAD
    content = adapter.ring.holding
    adapter.restart()
    assert adapter.ring.holding == content
    revoked = any(message[:1] == b"\x04" for _, message in messages)
    assert revoked or adapter.seal() is not None
