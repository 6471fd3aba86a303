"""The key memory uses a key only when its validity is proved, and the one with the nearest expiry first."""

from dataclasses import replace
from math import nan

import pytest

from meterwire.errors import KeyMemoryError, UnknownKeySlot, ValueOutOfRange
from meterwire.keymemory import KeyEntry, KeyMemory, Standing
from meterwire.seal import InnerKey


def entry(
    slot: int,
    not_before: float | None = None,
    not_after: float | None = None,
    purpose: str = "inner",
    partner: str = "portal",
) -> KeyEntry:
    return KeyEntry(slot, InnerKey(bytes([slot & 7]) * 16), purpose, partner, not_before, not_after)


def test_the_valid_key_with_the_nearest_expiry_is_chosen() -> None:
    memory = KeyMemory(entry(1, 0, 300), entry(2, 0, 200), entry(3, 0, 100), entry(4, 150, 160), entry(5))
    assert memory.choose("inner", 120).slot == 2
    assert memory.choose("inner", 155).slot == 4
    assert memory.choose("inner", 250).slot == 1
    assert memory.choose("inner", 1e9).slot == 5


def test_a_key_is_valid_from_its_first_second_until_before_its_last() -> None:
    key = entry(0, 100, 200)
    assert [key.valid_at(now) for now in (99.9, 100, 199.9, 200)] == [False, True, True, False]


def test_equal_expiry_goes_by_slot() -> None:
    assert KeyMemory(entry(6, 0, 9), entry(2, 0, 9)).choose("inner", 1).slot == 2


@pytest.mark.parametrize("now", [None, nan])
def test_without_a_trusted_date_no_key_is_valid(now: float | None) -> None:
    with pytest.raises(KeyMemoryError):
        KeyMemory(entry(0), entry(1, 0, 100)).choose("inner", now)


def test_the_refusal_says_which_of_three_things_is_wrong() -> None:
    memory = KeyMemory(entry(0, 0, 100))
    for purpose, now, cause in (("lmn", 50, "is held"), ("inner", None, "not trusted"), ("inner", 100, "valid now")):
        with pytest.raises(KeyMemoryError, match=cause):
            memory.choose(purpose, now)


def test_purpose_and_partner_narrow_the_choice() -> None:
    memory = KeyMemory(entry(0, purpose="lmn"), entry(1, partner="emt"), entry(2, 0, 10))
    assert memory.choose("lmn", 5).slot == 0
    assert memory.choose("inner", 5).slot == 2
    assert memory.choose("inner", 5, partner="emt").slot == 1


def test_a_slot_holds_one_key_and_an_expired_key_still_opens() -> None:
    memory = KeyMemory(entry(3, 0, 1))
    memory.put(entry(3, 0, 2))
    assert memory.by_slot(3).not_after == 2
    memory.remove(3)
    memory.remove(3)
    with pytest.raises(UnknownKeySlot, match="slot 3"):
        memory.by_slot(3)


def test_it_has_eight_slots_and_goes_through_them_in_order() -> None:
    memory = KeyMemory(*(entry(slot) for slot in (7, 0, 3)))
    assert [held.slot for held in memory] == [0, 3, 7]
    assert len(memory) == 3
    for slot in (-1, 8):
        with pytest.raises(ValueOutOfRange):
            entry(slot)


def test_a_validity_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ValueOutOfRange, match="ends before it begins"):
        entry(0, 200, 100)


def test_no_key_shows_in_the_text_of_an_entry() -> None:
    assert "07070707" not in repr(entry(7)).lower()
    assert "\\x07" not in repr(entry(7))


def standings(memory: KeyMemory) -> dict[int, Standing]:
    return {one.slot: one.standing for one in memory}


def test_a_key_on_trial_seals_first_and_one_that_failed_last() -> None:
    memory = KeyMemory(entry(1, 0, 10), replace(entry(2, 0, 90), standing=Standing.TRIAL), entry(3, 0, 20))
    assert memory.choose("inner", 1).slot == 2
    memory.fall_back(2)
    assert [one.slot for one in memory.ranked(1)] == [1, 3, 2]
    assert memory.choose("inner", 50).slot == 2


def test_a_proven_key_makes_the_others_of_its_purpose_former_ones() -> None:
    memory = KeyMemory(
        entry(1, 0, 10),
        replace(entry(2, 0, 90), standing=Standing.TRIAL),
        replace(entry(3, 0, 5), standing=Standing.TRIAL),
        entry(4, purpose="lmn"),
    )
    memory.prove(2)
    assert standings(memory) == {1: Standing.FORMER, 2: Standing.PROVEN, 3: Standing.TRIAL, 4: Standing.PROVEN}
    assert memory.choose("inner", 6).slot == 2
    with pytest.raises(UnknownKeySlot):
        memory.prove(7)


def test_ranked_puts_what_is_not_valid_behind() -> None:
    memory = KeyMemory(entry(1, 0, 5), entry(2, 0, 90), entry(3, 50, 60))
    assert [one.slot for one in memory.ranked(10)] == [2, 1, 3]
    assert [one.slot for one in memory.ranked(None)] == [1, 3, 2]


def test_taking_over_forgets_everything_else() -> None:
    memory = KeyMemory(entry(1), entry(2))
    memory.take_over([entry(5)])
    assert [one.slot for one in memory] == [5]
