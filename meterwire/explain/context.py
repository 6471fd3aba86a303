"""What the person who asks knows beside the text: port, device, keys and counters."""

from dataclasses import dataclass
from typing import Any, Final

from meterwire.errors import ValueOutOfRange
from meterwire.ids import DevEUI
from meterwire.seal import Key16

MAX_TEXT: Final = 2048

Explanation = dict[str, Any]  # one JSON object; every answer has `kind`


@dataclass(frozen=True, slots=True)
class Context:
    """All optional. `port` (0 to 255) makes a hex text an application payload; `key` is the inner key of a values
    telegram, the transport key of a key message or the root key of a join; `last_counter` the full inner counter of the
    telegram before (32 bits); `fcnt_high` the upper half of the LoRaWAN frame counter (16 bits).
    """

    port: int | None = None
    dev_eui: DevEUI | None = None
    key: Key16 | None = None
    last_counter: int | None = None
    nwk_s_key: Key16 | None = None
    app_s_key: Key16 | None = None
    fcnt_high: int | None = None

    def __post_init__(self) -> None:
        for name, value, limit in (
            ("port", self.port, 0xFF),
            ("last counter", self.last_counter, 0xFFFFFFFF),
            ("upper half of the frame counter", self.fcnt_high, 0xFFFF),
        ):
            if value is not None and not 0 <= value <= limit:
                raise ValueOutOfRange(f"the {name} is a number from 0 to {limit}, not {value}")

    @property
    def whole_frame(self) -> bool:
        """Whether the question is about a whole LoRaWAN frame: only one has session keys and a frame counter."""
        return not (self.nwk_s_key is None and self.app_s_key is None and self.fcnt_high is None)
