"""The private NTP server runs under whatever account runs the tests."""

import pytest

from tests.support.chrony import chronyd


def test_chronyd_starts_though_the_environment_names_an_account_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOGNAME", "not-an-account-of-this-machine")
    with chronyd("local stratum 3") as port:
        assert port
