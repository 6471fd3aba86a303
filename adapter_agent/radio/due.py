"""What the next uplink has to carry beside its payload: answers to the network and questions to it."""

from dataclasses import dataclass, field

from adapter_agent.radio.link import STICKY
from meterwire.lorawan.mac_commands import DeviceTimeReq, LinkCheckReq, MacCommand, encode_commands


@dataclass(slots=True)
class Due:
    """`ack`: a confirmed downlink waits for its acknowledgement. `uplink`: the network waits for one, with or without
    data. `time` and `check`: ask until the answer comes.
    """

    ack: bool = False
    uplink: bool = False
    time: bool = True
    check: bool = False
    answers: list[MacCommand] = field(default_factory=list)
    sticky: list[MacCommand] = field(default_factory=list)

    @property
    def asks(self) -> bool:
        """Whether there is a question to the network."""
        return self.time or self.check

    def options(self, *, questions: bool = True) -> bytes:
        """The FOpts that say all of it; longer than they may be when there is much to answer."""
        asked: list[MacCommand] = []
        if questions and self.time:
            asked.append(DeviceTimeReq())
        if questions and self.check:
            asked.append(LinkCheckReq())
        return encode_commands([*self.sticky, *self.answers, *asked])

    def answer(self, answers: list[MacCommand]) -> None:
        """Answers to the downlink just heard; it ends the repetition of earlier ones."""
        self.sticky = [answer for answer in answers if isinstance(answer, STICKY)]
        self.answers = [answer for answer in answers if not isinstance(answer, STICKY)]

    def sent(self, *, answered: bool) -> None:
        """An uplink is about to go out. Where it has no room for the answers, another one is due for them."""
        if answered:
            self.answers = []
        self.ack, self.uplink = False, bool(self.answers)
