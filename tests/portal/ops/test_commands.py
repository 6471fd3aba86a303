"""Commands that serve no page start without loading the pages, and still look at everything that concerns secrets."""

import pytest
from django.core.checks import Tags
from django.core.checks.registry import registry
from django.core.management import get_commands, load_command_class

WITHOUT_PAGES = ["run_bridge", "run_vault", "broker_config", "demo_seed", "pki_init", "label"]


@pytest.mark.parametrize("name", WITHOUT_PAGES)
def test_a_command_without_pages_looks_at_security_only(name: str) -> None:
    command = load_command_class(get_commands()[name], name)

    assert command.requires_system_checks == [Tags.security]


def test_every_check_of_ours_is_one_of_security_so_those_commands_miss_none() -> None:
    ours = [check for check in registry.get_checks() if check.__module__.startswith(("portal.", "provisioning."))]

    assert len(ours) >= 5
    assert [check.__name__ for check in ours if Tags.security not in check.tags] == []  # type: ignore[attr-defined]
