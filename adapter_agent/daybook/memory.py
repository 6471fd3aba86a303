"""What the daybook must not forget: which days are signed, and what the network has taken of it."""

import logging

import msgspec
from msgspec import Struct, field

from adapter_agent.durable import Durable
from meterwire.errors import MeterspanError
from meterwire.ids import DevEUI
from meterwire.signed_day import LeafRuns, Message, Run, SignatureHalf, Statement, run_frames

log = logging.getLogger(__name__)

MAX_DAYS = 14


class SignedDay(Struct):
    """A signature and the counters it covers; `sent` of its frames have arrived."""

    day: int
    leaves: int
    first: int
    last: int
    signature: bytes
    gaps: list[tuple[int, int]] = []  # runs of counters (first, length), where the day is not one single run
    sent: int = 0

    @classmethod
    def of(cls, statement: Statement, signature: bytes, runs: list[Run]) -> "SignedDay":
        gaps = [(run.first, run.length) for run in runs] if len(runs) > 1 else []
        return cls(statement.day, statement.leaves, statement.first, statement.last, signature, gaps)

    def frames(self) -> list[Message]:
        """The two halves, and which counters were used where restarts skipped some."""
        halves: list[Message] = [
            SignatureHalf(
                half, self.day, self.leaves, self.first, self.last, self.signature[32 * half : 32 * half + 32]
            )
            for half in (0, 1)
        ]
        return [*halves, *(self.runs() if self.gaps else ())]

    def runs(self) -> list[LeafRuns]:
        """Which counters were used."""
        return run_frames(self.day, [Run(*one) for one in self.gaps] or [Run(self.first, self.leaves)])


class Remembered(Struct):
    """`announced`: the seq of the signing key that the network has taken; `closed`: the last day that is signed."""

    announced: int = 0
    seq: int = 0
    closed: int = -1
    days: list[SignedDay] = field(default_factory=list)


class Memory:
    """What is remembered `now`; `save` makes a change last."""

    def __init__(self, file: Durable, dev_eui: DevEUI) -> None:
        self._file = file
        self.now = self._load()

    def save(self) -> None:
        """Raises the file's error; what is on disk stays then."""
        self.now.days = self.now.days[-MAX_DAYS:]
        self._file.write(msgspec.json.encode(self.now))

    def day(self, day: int) -> SignedDay | None:
        """The signature of a day, where there is one that is remembered."""
        return next((one for one in self.now.days if one.day == day), None)

    def _load(self) -> Remembered:
        try:
            content = self._file.read()
            return Remembered() if content is None else msgspec.json.decode(content, type=Remembered)
        except (MeterspanError, msgspec.DecodeError) as error:
            # The days' files are still there: they are signed once more, which harms nobody.
            log.error("what is known of signed days is lost: %s", error, extra={"alarm": "days_lost"})
            return Remembered()
