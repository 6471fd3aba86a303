"""What a meter protects itself crosses the coupling line wherever the halves of an adapter are cut apart."""

import pytest

from adapter_agent.coupling.wire import Protected, Telegrams, Unpacker, pack

ANSWER = Telegrams(3, ((7, b"sealed"),), 8, {}, ((19, b"as it is"),))


@pytest.mark.parametrize("message", [Protected(1, 19, b"as it is"), Protected(0, 18, bytes(255)), ANSWER])
def test_it_comes_through_the_line(message):
    assert Unpacker().feed(pack(message)) == [message]


@pytest.mark.parametrize("message", [Protected(8, 19, b""), Protected(0, 16, b""), Protected(0, 19, bytes(256))])
def test_another_port_input_or_length_is_refused(message):
    unpacker = Unpacker()
    assert unpacker.feed(pack(message)) == []
    assert unpacker.refused == {"message": 1}
