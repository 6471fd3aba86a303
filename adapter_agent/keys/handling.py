"""What each request on port 34 does to the keys held: pure decisions, stored and answered by `requests`."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from adapter_agent.keys.admission import admits
from adapter_agent.keys.holding import PORTAL, PORTAL_SLOT, Candidate, Holding, Partner
from meterwire.curves import ENTROPY_BYTES, Curve, PrivateKey
from meterwire.errors import AuthenticationError, ValueOutOfRange
from meterwire.ids import DevEUI
from meterwire.key_exchange import agreed_key
from meterwire.key_messages import (
    DeliveryAnswer,
    Down,
    ExchangeAnswer,
    ExchangeConfirm,
    ExchangeOffer,
    ExchangeResult,
    KeyDelivery,
    KeyPurpose,
    KeyRevoke,
    Place,
    Result,
    RevokeAnswer,
    Up,
    unwrap,
)
from meterwire.keymemory import KeyEntry, KeyMemory, Standing
from meterwire.seal import InnerKey, Key16

NO_CHECK: Final = bytes(3)
SLOTTED: Final = frozenset({KeyPurpose.INNER, KeyPurpose.LMN})
PORTALS: Final = SLOTTED | {KeyPurpose.TRANSPORT, KeyPurpose.METER}
CONCENTRATORS: Final = frozenset({KeyPurpose.INNER})  # [0087]


@dataclass(frozen=True, slots=True)
class Circumstances:
    """`now`: Unix seconds, None while the date is not trusted. `entropy` gives that many random octets."""

    dev_eui: DevEUI
    now: float | None
    entropy: Callable[[int], bytes]
    curves: frozenset[Curve] = frozenset(Curve)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The keys after the request, its answer, and what the sender is then expected to confirm."""

    holding: Holding
    answer: Up
    candidate: Candidate | None


def handle(request: Down, sender: Partner, holding: Holding, given: Circumstances) -> Outcome:
    """The outcome of a request that is authentic and not old."""
    if request.place.purpose not in (PORTALS if sender.is_portal else CONCENTRATORS):
        return Outcome(holding, refusal(request, Result.PURPOSE_UNKNOWN), sender.candidate)
    match request:
        case KeyDelivery():
            return _deliver(request, sender, holding, given)
        case ExchangeOffer():
            return _offer(request, sender, holding, given)
        case ExchangeConfirm():
            return _confirm(request, sender, holding, given)
        case KeyRevoke():
            return _revoke(request, sender, holding)


def refusal(request: Down, result: Result, check: bytes = NO_CHECK) -> Up:
    """The answer that belongs to a request, with a result."""
    match request:
        case KeyDelivery(seq, place):
            return DeliveryAnswer(seq, place, result, check)
        case KeyRevoke(seq, place):
            return RevokeAnswer(seq, place, result)
        case _:
            return ExchangeResult(request.seq, request.place, result, check)


def _deliver(request: KeyDelivery, sender: Partner, holding: Holding, given: Circumstances) -> Outcome:
    try:
        key = unwrap(sender.transport, request.wrapped)
    except AuthenticationError:
        return Outcome(holding, refusal(request, Result.WRONG_CHECK_VALUE), sender.candidate)
    result = Result.STORED
    if key.check_value() != request.check:
        result = Result.WRONG_CHECK_VALUE
    elif _is_over(request, given):
        result = Result.VALIDITY_OVER
    elif request.place.purpose is KeyPurpose.METER:
        holding = replace(holding, meters={**holding.meters, request.place.slot: key})
    elif request.place.purpose is KeyPurpose.TRANSPORT:
        result, holding = _transport(request.place.slot, key, sender, holding)
    else:
        result, holding = _on_trial(request, InnerKey(key.reveal(), request.place.tag_length), sender, holding, given)
    return Outcome(holding, refusal(request, result, key.check_value()), sender.candidate)


def _transport(slot: int, key: Key16, sender: Partner, holding: Holding) -> tuple[Result, Holding]:
    if any(one.transport == key for one in holding.partners):
        return Result.SLOT_TAKEN, holding
    if slot == PORTAL_SLOT:  # beside the old one, until it is heard
        kept = tuple(one for one in holding.partners if one is sender or not one.is_portal)
        return Result.STORED, replace(holding, partners=(*kept, Partner(PORTAL, slot, key)))
    name = next((one.name for one in holding.partners if one.slot == slot), f"concentrator {slot}")
    kept = tuple(one for one in holding.partners if one.slot != slot)
    return Result.STORED, replace(holding, partners=(*kept, Partner(name, slot, key)))


def _offer(request: ExchangeOffer, sender: Partner, holding: Holding, given: Circumstances) -> Outcome:
    result = Result.STORED
    if request.place.purpose is not KeyPurpose.INNER:
        result = Result.PURPOSE_UNKNOWN
    elif request.public.curve not in given.curves:
        result = Result.CURVE_UNKNOWN
    elif not admits(holding, request.place.slot, sender, given.now):
        result = Result.SLOT_TAKEN
    if result is not Result.STORED:
        return Outcome(holding, refusal(request, result), None)
    own = PrivateKey.generate(request.public.curve, given.entropy(ENTROPY_BYTES))
    try:
        key = agreed_key(
            own,
            request.public,
            initiator=request.public,
            responder=own.public,
            dev_eui=given.dev_eui,
            place=request.place,
            seq=request.seq,
        )
    except ValueOutOfRange:  # a point of small order
        return Outcome(holding, refusal(request, Result.CURVE_UNKNOWN), None)
    answer = ExchangeAnswer(request.seq, request.place, own.public)
    return Outcome(holding, answer, Candidate(request.place, request.seq, key))


def _confirm(request: ExchangeConfirm, sender: Partner, holding: Holding, given: Circumstances) -> Outcome:
    candidate = sender.candidate
    if candidate is not None and (candidate.place, candidate.seq) == (request.place, request.seq):
        check = candidate.key.check_value()
        if check != request.check:
            result = Result.WRONG_CHECK_VALUE
        elif _is_over(request, given):
            result = Result.VALIDITY_OVER
        else:
            result, holding = _on_trial(request, candidate.key, sender, holding, given)
        return Outcome(holding, refusal(request, result, check), None)
    entry = _held(holding, request.place)
    if entry is None or entry.partner != sender.name or entry.key.check_value() != request.check:
        check = NO_CHECK if entry is None or entry.partner != sender.name else entry.key.check_value()
        return Outcome(holding, refusal(request, Result.WRONG_CHECK_VALUE, check), candidate)
    memory = holding.memory()
    memory.prove(entry.slot)
    return Outcome(holding.remembering(memory), refusal(request, Result.STORED, request.check), candidate)


def _revoke(request: KeyRevoke, sender: Partner, holding: Holding) -> Outcome:
    place, result = request.place, Result.STORED
    candidate = sender.candidate
    if candidate is not None and candidate.place == place:
        candidate = None
    if place.purpose is KeyPurpose.METER:
        meters = {input_: key for input_, key in holding.meters.items() if input_ != place.slot}
        holding = replace(holding, meters=meters)
    elif place.purpose is KeyPurpose.TRANSPORT:
        if place.slot == PORTAL_SLOT:  # nothing could be said to the adapter any more
            result = Result.SLOT_TAKEN
        else:
            kept = tuple(one for one in holding.partners if one.slot != place.slot)
            holding = replace(holding, partners=kept)
    elif (entry := _held(holding, place)) is not None:
        if entry.partner != sender.name and not sender.is_portal:
            result = Result.SLOT_TAKEN
        else:
            holding = _without(entry, sender, holding)
    return Outcome(holding, refusal(request, result), candidate)


def _without(revoked: KeyEntry, sender: Partner, holding: Holding) -> Holding:
    """Without a key; who gives up an older one has heard the newer one that sealed already."""
    memory = holding.memory()
    memory.remove(revoked.slot)
    tried = [
        entry
        for entry in memory
        if (entry.purpose, entry.partner) == (revoked.purpose, sender.name)
        and entry.standing in (Standing.TRIAL, Standing.UNPROVEN)
        and entry.slot in holding.trials
    ]
    if tried and revoked.partner == sender.name and revoked.standing in (Standing.PROVEN, Standing.FORMER):
        memory.prove(min(tried, key=lambda entry: entry.standing).slot)
    return holding.remembering(memory)


def _on_trial(
    request: KeyDelivery | ExchangeConfirm, key: InnerKey, sender: Partner, holding: Holding, given: Circumstances
) -> tuple[Result, Holding]:
    place = request.place
    if not admits(holding, place.slot, sender, given.now):
        return Result.SLOT_TAKEN, holding
    memory = holding.memory()
    purpose, begin, end = _word(place), request.not_before, request.not_after
    new = KeyEntry(place.slot, key, purpose, sender.name, begin, end, Standing.TRIAL)
    if new.valid_at(given.now):
        _end_trials(memory, purpose)
    memory.put(new)
    return Result.STORED, holding.remembering(memory)


def _end_trials(memory: KeyMemory, purpose: str) -> None:
    """The newest key is tried, whatever became of those before."""
    for entry in list(memory):
        if entry.purpose == purpose and entry.standing is Standing.TRIAL:
            memory.fall_back(entry.slot)


def _is_over(request: KeyDelivery | ExchangeConfirm, given: Circumstances) -> bool:
    return given.now is not None and request.not_after is not None and request.not_after <= given.now


def _held(holding: Holding, place: Place) -> KeyEntry | None:
    word = _word(place)
    return next((entry for entry in holding.inner if (entry.slot, entry.purpose) == (place.slot, word)), None)


def _word(place: Place) -> str:
    return KeyPurpose(place.purpose).name.lower()
