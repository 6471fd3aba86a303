"""How an opened values telegram rests in a store: CT-V sealed anew, its HDR version bits say so (3 instead of 0).

A nonce of the air is never used a second time: at rest the port in the nonce is 0, on which no values telegram travels.
"""

from collections.abc import Sequence

from meterwire.errors import FormatError
from meterwire.ids import DevEUI
from meterwire.seal import InnerKey, Key16, ValuesOpener, ValuesSealer
from meterwire.values_telegram import Mode, Value, parse_values

REST_PORT = 0
_MARK, _BITS = 0xC0, 0x3F


def rests(payload: bytes) -> bool:
    """Whether the bytes are of this form, not as they came over the air."""
    return payload[:1] >= bytes((_MARK,))


def rest(key: Key16, dev_eui: DevEUI, telegram: bytes, counter: int, values: Sequence[tuple[int, int]]) -> bytes:
    """The form at rest of `values`, the opened content of `telegram` (of the air or at rest), under `key`.

    Key slot, counter, tag length, order and lengths of the registers stay; a clear telegram (mode 3) becomes an
    encrypted one. The same content gives the same bytes. FormatError for what is no telegram.
    """
    parsed = parse_values(_of_air(telegram))
    widths = dict(parsed.registers or ())
    mode = Mode.ALL if parsed.mode is Mode.ALL else Mode.VALUES
    own = InnerKey(key.reveal(), parsed.tag_length)
    sealed = ValuesSealer(own, parsed.key_slot, dev_eui, REST_PORT, widths).seal(
        counter, (Value(*pair) for pair in values), mode
    )
    return bytes((sealed[0] | _MARK,)) + sealed[1:]


class StoredOpener:
    """Opens what one adapter's telegrams became in a store, in either form, under one key. Keep the object."""

    def __init__(self, key: Key16, dev_eui: DevEUI) -> None:
        self._by_form = {
            (tag, resting): ValuesOpener(InnerKey(key.reveal(), tag), dev_eui, *((REST_PORT,) if resting else ()))
            for tag in (4, 8)
            for resting in (False, True)
        }

    def open(self, payload: bytes, counter: int) -> list[tuple[int, int]]:
        """(register number, integer) pairs. FormatError, TagMismatch as ValuesOpener raises them."""
        if not payload:
            raise FormatError("an empty payload is no telegram")
        resting = payload[0] >= _MARK
        opener = self._by_form[8 if payload[0] & 8 else 4, resting]
        return opener.open_raw(_of_air(payload), counter)


def _of_air(payload: bytes) -> bytes:
    return bytes((payload[0] & _BITS,)) + payload[1:] if rests(payload) else payload
