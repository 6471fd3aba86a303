"""Opens the daybook of an adapter; without a usable signing key it works on and signs nothing."""

import logging
import secrets

from adapter_agent.config import Config
from adapter_agent.dates import Dates
from adapter_agent.daybook.book import Daybook
from adapter_agent.daybook.folder import DayFolder
from adapter_agent.daybook.memory import Memory
from adapter_agent.daybook.signing import SigningKeyFile
from adapter_agent.keys.ring import KeyRing
from adapter_agent.state_folder import StateFolder
from edge.clock import Clock
from meterwire.curves import Curve
from meterwire.errors import MeterspanError
from meterwire.seal import Key16

log = logging.getLogger(__name__)


def open_daybook(config: Config, state: StateFolder, ring: KeyRing, dates: Dates, clock: Clock) -> Daybook | None:
    """None where [signing] is off, or where the key cannot be read: telegrams matter more than their signature."""
    if not config.signing.enabled:
        return None

    def transport() -> Key16 | None:
        return next((one.transport for one in ring.holding.partners if one.is_portal), None)

    dev_eui = config.adapter.dev_eui
    memory = Memory(state.file("days"), dev_eui)
    try:
        file = SigningKeyFile(state.file("signing"), secrets.token_bytes)
        signer = file.load(Curve(config.signing.curve), memory.now.seq)
        folder = DayFolder(state.folder / "days", dev_eui)
        return Daybook(dev_eui, folder, memory, signer, transport=transport, dates=dates, clock=clock)
    except MeterspanError as error:
        log.error("no day will be signed: %s", error, extra={"alarm": "signing_key", "code": error.code})
        return None
