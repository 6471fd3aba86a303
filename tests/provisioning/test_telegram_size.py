"""A slot has room for the one telegram that an adapter makes of all its inputs."""

from itertools import product

import pytest

from meterwire.config_records import PreviousRecord
from meterwire.registers import previous_number, register_number
from meterwire.slots import Kind, length_ms
from meterwire.values_telegram import HEADER_LENGTH, Value, encode_body
from provisioning.keys.services import activate, issue_inner_key
from provisioning.pairing.services import desired_configuration, give_missing, pair, set_reporting
from provisioning.pairing.services.telegram_size import size_of
from provisioning.slots.models import Assignment
from provisioning.slots.services import set_plan
from tests.cast import STAGE, Cast

FOUR_BYTES = 0xFFFF_FFFF
THREE_BYTES = 0xFF_FFFF


def telegram(inputs: list[int], registers: dict[int, int], *, previous: bool, tag: int) -> int:
    """The length of the longest telegram there is; the usual second register of the first input has three bytes."""
    values = []
    for place, number in enumerate(sorted(inputs)):
        usual = place == 0 and number not in registers
        for index in range(1, registers.get(number, 2) + 1):
            most = THREE_BYTES if usual and index == 2 else FOUR_BYTES
            values.append(Value(register_number(index, number), most))
        if previous:
            values.append(Value(previous_number(number), 0xFFFF))
    return HEADER_LENGTH + len(encode_body(values)) + tag


@pytest.mark.parametrize(("previous", "long_tag"), list(product((False, True), repeat=2)))
@pytest.mark.parametrize(
    ("inputs", "registers"),
    [([0], {}), ([1], {}), ([0, 1], {}), ([0, 2], {0: 1, 2: 1}), ([0], {0: 5}), ([2], {2: 4}), ([0, 1], {0: 3})],
)
def test_what_the_adapter_makes_fits_and_leaves_little_unused(
    inputs: list[int], registers: dict[int, int], previous: bool, long_tag: bool
) -> None:
    size = size_of(inputs, registers, previous=previous, long_tag=long_tag)
    longest = telegram(inputs, registers, previous=previous, tag=8 if long_tag else 4)
    assert longest <= size <= longest + 5


def test_one_meter_with_two_registers_is_what_slots_are_made_for() -> None:
    assert size_of([0], {}, previous=False, long_tag=False) == Kind.VALUES
    assert size_of([], {}, previous=True, long_tag=False) == Kind.VALUES_PREVIOUS


def test_no_slot_is_made_for_more_than_every_data_rate_carries() -> None:
    assert size_of(range(8), {}, previous=True, long_tag=True) == 51


def test_a_second_input_a_longer_tag_and_more_registers_make_the_slot_longer(cast: Cast) -> None:
    site = cast.site()
    adapter = cast.adapter(site, cast.concentrator(site))

    def slot() -> Assignment:
        return Assignment.objects.get(adapter=adapter)

    pair(cast.operator, adapter, cast.metering_point(site))
    assert slot().size == 16
    pair(cast.operator, adapter, cast.metering_point(site), input=1)
    assert slot().size == 28
    set_reporting(cast.operator, adapter, period_s=900, registers={0: [1, 2, 7], 1: [1]})
    assert slot().size == 28, "nobody is moved for needing less"
    set_reporting(cast.operator, adapter, period_s=300, registers={0: [1, 2, 7], 1: [1]})
    assert slot().size == 28
    activate(STAGE, issue_inner_key(STAGE, adapter, tag_length=8))
    set_reporting(cast.operator, adapter, period_s=300, registers={0: [1, 2, 7], 1: [1]})
    row = slot()
    assert (row.size, row.length_ms) == (32, length_ms(32, row.data_rate, row.guard_ms))


def test_previous_values_are_asked_for_only_where_the_slot_has_room_for_those_of_all_inputs(cast: Cast) -> None:
    site = cast.site()
    concentrator = cast.concentrator(site)
    adapter = cast.adapter(site, concentrator)
    for number in (0, 1):
        pair(cast.operator, adapter, cast.metering_point(site), input=number)
    set_plan(STAGE, concentrator, quantum_ms=2, guard_ms=60, reserve=25, previous=True)
    assert PreviousRecord(True) not in desired_configuration(adapter)
    set_reporting(cast.operator, adapter, period_s=300)
    assert Assignment.objects.get(adapter=adapter).size == 35
    assert PreviousRecord(True) in desired_configuration(adapter)


def test_slots_that_are_given_to_many_are_as_long_as_each_needs(cast: Cast) -> None:
    site = cast.site()
    concentrator = cast.concentrator(site)
    set_plan(STAGE, concentrator, quantum_ms=2, guard_ms=60, reserve=25, previous=False, by_pairing=False)
    one, two = cast.adapter(site, concentrator), cast.adapter(site, concentrator)
    for adapter, number in ((one, 0), (two, 0), (two, 1)):
        pair(cast.operator, adapter, cast.metering_point(site), input=number)
    set_plan(STAGE, concentrator, quantum_ms=2, guard_ms=60, reserve=25, previous=False, by_pairing=True)
    give_missing(STAGE, 0, 10, lambda adapters: {adapter.pk: 5 for adapter in adapters})
    assert dict(Assignment.objects.values_list("adapter", "size")) == {one.pk: 16, two.pk: 28}
