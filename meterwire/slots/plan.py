"""What all slots have in common: the frame, the harmonic periods, the quanta and the eight channels (design 7)."""

from typing import Final

from meterwire.errors import ValueOutOfRange
from meterwire.lorawan.eu868 import EU868

FRAME_S: Final = 900
PERIODS: Final = (60, 300, 900, 3600, 86400)  # s; each divides the next, so that slots repeat against each other
MINUTE_MS: Final = 60_000
QUANTA_MS: Final = (2, 3, 4, 5, 6, 8, 10)  # the whole milliseconds from 2 to 10 that divide a minute
DEFAULT_QUANTUM_MS: Final = 2
FREQUENCIES_HZ: Final = tuple(
    channel.frequency_hz for channel in (*EU868.default_channels, *EU868.extra_channels)
)  # by channel index
CHANNELS: Final = len(FREQUENCIES_HZ)
MAX_DATA_RATE: Final = 5
MAX_GUARD_MS: Final = 2000  # an SMGw takes values within 2 s; 20 ppm over a day are 1.73 s
MAX_LENGTH_MS: Final = 8000  # the longest frame that fits at every data rate, with that guard on both sides, and room


def check_quantum(quantum_ms: int) -> int:
    """The quantum when it is one of QUANTA_MS. ValueOutOfRange."""
    if quantum_ms not in QUANTA_MS:
        raise ValueOutOfRange(f"a quantum is one of {', '.join(map(str, QUANTA_MS))} ms, not {quantum_ms}")
    return quantum_ms
