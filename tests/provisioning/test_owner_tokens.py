"""Owner tokens: kept as a digest, matched once, gone after their use."""

import pytest

from meterwire.label import owner_token
from provisioning.audit.services import audited
from provisioning.errors import Forbidden, Invalid
from provisioning.labels import tokens
from provisioning.labels.models import OwnerToken
from provisioning.labels.services import adopt_token, consume, issue_token, matches
from tests.cast import Cast

TOKEN = owner_token(bytes(range(16)))


@pytest.fixture
def adapter(cast: Cast):  # type: ignore[no-untyped-def]
    return cast.adapter()


def test_a_token_matches_its_adapter_until_it_is_used(cast: Cast, adapter) -> None:  # type: ignore[no-untyped-def]
    adopt_token(cast.owner, adapter, TOKEN)

    assert matches(adapter, TOKEN)
    assert not matches(adapter, TOKEN[:-1] + "A")
    assert not matches(cast.adapter(), TOKEN)
    assert not matches(None, TOKEN)
    with audited(adapter.organisation):
        consume(cast.owner, adapter)
    assert not matches(adapter, TOKEN)
    row = OwnerToken.objects.get(adapter=adapter)
    assert (row.state, bytes(row.sealed)) == ("consumed", b"")


def test_a_new_label_ends_the_old_token(cast: Cast, adapter) -> None:  # type: ignore[no-untyped-def]
    adopt_token(cast.owner, adapter, TOKEN)
    issue_token(cast.owner, adapter)

    assert not matches(adapter, TOKEN)
    assert sorted(OwnerToken.objects.filter(adapter=adapter).values_list("state", flat=True)) == ["new", "replaced"]


def test_the_token_is_nowhere_in_clear(cast: Cast, adapter) -> None:  # type: ignore[no-untyped-def]
    row = adopt_token(cast.owner, adapter, TOKEN)

    assert TOKEN.encode() not in bytes(row.sealed)
    assert TOKEN not in repr(row) + row.digest


@pytest.mark.parametrize("token", ["", "SHORT", "lower-case-token", "WITH SPACE 12", "A" * 65, "ÄÖÜÄÖÜÄÖÜ"])
def test_a_token_that_no_label_can_carry_is_refused(cast: Cast, adapter, token: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(Invalid, match="owner token"):
        adopt_token(cast.owner, adapter, token)


def test_installers_make_no_labels(cast: Cast, adapter) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(Forbidden):
        issue_token(cast.installer, adapter)


def test_a_digest_depends_on_adapter_and_pepper() -> None:
    pepper = tokens.current_pepper()

    assert tokens.digest("0" * 16, TOKEN, pepper) != tokens.digest("1" * 16, TOKEN, pepper)
