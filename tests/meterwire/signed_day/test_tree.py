"""The hash tree against the vectors of RFC 6962's reference implementation, and against the RFC's own words."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterwire.signed_day import leaf_hash, root
from tests.meterwire.vectors import load

VECTORS = load("merkle_tree")


def by_the_rfc(hashes: list[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, word by word: split at the largest power of two below n."""
    if len(hashes) <= 1:
        return hashes[0] if hashes else sha256().digest()
    k = 1
    while 2 * k < len(hashes):
        k *= 2
    return sha256(b"\x01" + by_the_rfc(hashes[:k]) + by_the_rfc(hashes[k:])).digest()


@pytest.mark.parametrize("size", range(len(VECTORS["roots"])))
def test_the_root_of_the_first_leaves_is_the_published_one(size: int) -> None:
    leaves = [leaf_hash(bytes.fromhex(entry)) for entry in VECTORS["leaves"][:size]]
    assert root(leaves).hex() == VECTORS["roots"][size]


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=70))
def test_the_root_is_that_of_the_recursive_definition(hashes: list[bytes]) -> None:
    assert root(hashes) == by_the_rfc(hashes)


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=40, unique=True), st.data())
def test_whatever_is_missing_shows(entries: list[bytes], data: st.DataObject) -> None:
    hashes = [leaf_hash(entry) for entry in entries]
    kept = data.draw(st.lists(st.sampled_from(hashes), unique=True, max_size=len(hashes) - 1))
    assert root([digest for digest in hashes if digest in kept]) != root(hashes)


@given(st.lists(st.binary(max_size=60), min_size=2, max_size=40, unique=True))
def test_the_order_shows(entries: list[bytes]) -> None:
    hashes = [leaf_hash(entry) for entry in entries]
    assert root([*hashes[1:], hashes[0]]) != root(hashes)


def test_a_node_never_passes_for_a_leaf() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(left + right) != root([left, right])
