"""The demo's cellar: the next adapter with its labels, its plug, and nobody else's business."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from adapter_agent.simulation.command import main as simulation
from portal.ops.demo.house import flats, unpaired
from provisioning.labels.models import OwnerToken
from provisioning.labels.services import open_label
from tests.cast import Cast, cast

__all__ = ["cast"]

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.portal.demo.urls")]


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    (tmp_path / "agents").mkdir()
    (tmp_path / "plugs").mkdir()
    gateway = "0016c001f1a20002@127.0.0.1:1700"
    assert simulation([str(tmp_path / "agents" / "building.toml"), "--new", "4", "--gateway", gateway]) == 0
    settings.DEMO_FOLDER = str(tmp_path)
    return tmp_path


@pytest.fixture
def installer(cast: Cast, folder: Path) -> Client:
    for flat in unpaired(flats(folder / "agents" / "building.toml")):
        cast.adapter(dev_eui=flat.dev_eui)
    client = Client()
    client.force_login(cast.installer)
    return client


def test_the_next_adapter_is_shown_with_both_labels(cast: Cast, folder: Path, installer: Client) -> None:
    page = installer.get("/demo/").content.decode()

    flat = unpaired(flats(folder / "agents" / "building.toml"))[0]
    row = OwnerToken.objects.get(adapter__dev_eui=flat.dev_eui)
    assert open_label(cast.owner, row.adapter) in page
    assert page.count("<svg xmlns") == 2
    assert "no power" in page


def test_plugging_in_gives_power_to_that_adapter_only(folder: Path, installer: Client) -> None:
    flat = unpaired(flats(folder / "agents" / "building.toml"))[1]

    answer = installer.post(f"/demo/plug/{flat.name}/")

    assert answer.headers["Location"] == f"/demo/?adapter={flat.name}"
    assert [path.name for path in (folder / "plugs").iterdir()] == [flat.name]
    assert "has power" in installer.get(answer.headers["Location"]).content.decode()


@pytest.mark.parametrize("name", ["adapter-99", "plugs", "secret-key"])
def test_what_is_no_adapter_of_the_demo_gets_no_power(folder: Path, installer: Client, name: str) -> None:
    assert installer.post(f"/demo/plug/{name}/").status_code == 404
    assert not list((folder / "plugs").iterdir())


def test_outsiders_see_no_label(cast: Cast, folder: Path, installer: Client) -> None:
    away, viewer = Client(), Client()
    away.force_login(cast.outsider)
    viewer.force_login(cast.viewer)

    assert b"LW:D0" not in away.get("/demo/").content
    assert viewer.get("/demo/").status_code == 403
    assert Client().get("/demo/").status_code == 302
