"""Pages by key: complete, in order, both ways, and not to be confused by any cursor."""

import base64
import json
from datetime import timedelta

import pytest
from django.http import QueryDict
from hypothesis import given
from hypothesis import strategies as st

from portal.web.keyset import Order, _read, paged
from provisioning.fleet.models import Adapter
from tests.portal_web.world import World

BY_EUI = Order(("dev_eui",))
BY_TIME = Order(("-status__last_seen", "pk"))


def walk(order: Order, size: int) -> list[list[int]]:
    """All pages forward."""
    pages, query = [], ""
    while True:
        page = paged(Adapter.objects.select_related("status"), order, QueryDict(query), size)
        pages.append([row.pk for row in page.rows])
        if not page.next:
            return pages
        query = page.next


@pytest.mark.parametrize("order", [BY_EUI, BY_TIME])
@pytest.mark.parametrize("size", [1, 3, 6, 7, 50])
def test_every_row_is_on_exactly_one_page(order: Order, size: int, world: World) -> None:
    for number in range(6):
        adapter, _pairing = world.paired_adapter()
        world.heard(adapter, timedelta(minutes=number // 2))  # two share a time
    world.heard()
    keys = [pk for page in walk(order, size) for pk in page]
    assert len(keys) == len(set(keys)) == 7
    assert keys == list(Adapter.objects.order_by(*order.fields).values_list("pk", flat=True))


def test_the_way_back_leads_to_the_same_pages(world: World) -> None:
    for _ in range(6):
        world.paired_adapter()
    first = paged(Adapter.objects.all(), BY_EUI, QueryDict("q=x"), 3)
    second = paged(Adapter.objects.all(), BY_EUI, QueryDict(first.next), 3)
    back = paged(Adapter.objects.all(), BY_EUI, QueryDict(second.previous), 3)
    assert [r.pk for r in back.rows] == [r.pk for r in first.rows]
    assert not back.previous
    assert QueryDict(back.next)["q"] == "x"


@given(st.text(max_size=80) | st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_no_cursor_makes_the_reader_fail(cursor: str) -> None:
    _read(cursor)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda leaf: st.lists(leaf, max_size=3),
    max_leaves=6,
)


@given(st.lists(JSON | st.dictionaries(st.just("t"), JSON), max_size=3))
def test_a_cursor_of_anything_is_read_as_plain_values_or_not_at_all(values: list[object]) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")
    read = _read(cursor)
    assert read is None or len(read) == len(values)


@pytest.mark.parametrize("values", [[1], [None], ["\0"], [{"t": "2026-01-01"}], ["a", "b"], [2**70], [True], {"a": 1}])
def test_a_forged_cursor_costs_nobody_the_page(values: object, world: World) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(values).encode()).decode()
    query = QueryDict(mutable=True)
    query["after"] = cursor
    paged(Adapter.objects.all(), BY_EUI, query, 3)
