"""Decides what a wallet needs next."""

from enum import Enum, auto

from concentrator_agent.enrolment.wallet import Wallet


class Due(Enum):
    NOTHING = auto()
    FIRST = auto()  # authenticated by a one-time password or the manufacturer's certificate
    RENEWAL = auto()  # authenticated by the certificate in force


def what_is_due(wallet: Wallet, now: float, *, dates_known: bool, anew: bool = False) -> Due:
    """`now` in Unix seconds; while `dates_known` is false nothing counts as over. `anew`: there is a new one-time
    password, or somebody says so by hand.
    """
    current, coming = wallet.current, wallet.next
    if anew or current is None:
        return Due.FIRST
    if coming is not None and coming.issued and not (dates_known and now >= coming.not_after):
        return Due.NOTHING  # waits for the broker to take it
    if dates_known and now >= current.not_after:
        return Due.FIRST
    return Due.RENEWAL if now >= current.renew_at else Due.NOTHING


def seconds_until_due(wallet: Wallet, now: float) -> float:
    """How long nothing has to be done, at least 0; a clock before the certificate's first second counts as that."""
    if wallet.current is None:
        return 0.0
    return max(0.0, wallet.current.renew_at - max(now, wallet.current.not_before))
