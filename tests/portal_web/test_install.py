"""The installer's app from the server's side: what its page, worker, manifest and session say, and to whom."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from django.utils.translation import override

from portal.web.install import assets
from portal.web.install import session as session_module
from portal.web.install.words import install_words
from portal.web.words import words
from provisioning.accounts.models import Role, User
from tests.portal_web.world import World

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "portal" / "static" / "install"
VENDOR = ROOT / "portal" / "static" / "vendor" / "scan"
PLACEHOLDER = re.compile(r"\{(\w+)\}")
Browse = Callable[[User | None], Client]


@pytest.fixture
def phone(world: World, browse: Browse) -> Client:
    """An installer's browser."""
    return browse(world.cast.installer)


def test_the_page_opens_its_policy_for_the_decoder_and_nothing_else(phone: Client) -> None:
    answer = phone.get("/install/")
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert policy["style-src"] == "'self'"
    assert answer.headers["Permissions-Policy"] == "camera=(self)"
    elsewhere = phone.get("/adapters/").headers["Content-Security-Policy"]
    assert "wasm-unsafe-eval" not in elsewhere


def test_the_page_is_the_same_for_everybody(world: World, browse: Browse) -> None:
    pages = [browse(user).get("/install/").content for user in (world.cast.installer, world.cast.outsider)]
    assert pages[0] == pages[1]
    assert b"<script>" not in pages[0]
    assert not re.search(rb'\son\w+="', pages[0])


def test_the_worker_keeps_files_that_exist_and_no_answers(browse: Browse) -> None:
    answer = browse(None).get("/install/sw.js")
    assert answer.headers["Content-Type"].startswith("text/javascript")
    lists = json.loads(re.search(r"= (\{.*\});", answer.content.decode()).group(1))  # type: ignore[union-attr]
    assert lists["version"] == assets.version()
    for address in lists["files"] + lists["decoder"]:
        assert finders.find(address.removeprefix("/static/")), address
    imported = re.compile(r'from "(\.[^"]+)"')
    kept = {Path(str(finders.find(address.removeprefix("/static/")))).resolve() for address in lists["files"]}
    for script in SCRIPTS.rglob("*.js"):
        if script.resolve() in kept:
            for name in imported.findall(script.read_text()):
                assert (script.parent / name).resolve() in kept, f"{script.name} needs {name}"


def test_the_version_names_the_words_too(monkeypatch: pytest.MonkeyPatch) -> None:
    before = assets.version()
    monkeypatch.setattr(assets, "install_words", lambda: {"new": "Scan it"})
    assets.version.cache_clear()
    assert assets.version() != before
    assets.version.cache_clear()


def test_the_manifest_fits_a_home_screen(browse: Browse) -> None:
    answer = browse(None).get("/install/manifest.webmanifest")
    manifest = answer.json()
    assert answer.headers["Content-Type"] == "application/manifest+json"
    assert manifest["scope"] == manifest["start_url"] == "/install/"
    assert {"192x192", "512x512", "any"} == {icon["sizes"] for icon in manifest["icons"]}
    for icon in manifest["icons"]:
        assert finders.find(icon["src"].removeprefix("/static/"))


def test_the_session_says_who_works_where_with_which_rights(world: World, phone: Client) -> None:
    answer = phone.get("/install/session/")
    said = answer.json()
    assert said["organisation"] == {"id": world.cast.organisation.pk, "name": world.cast.organisation.name}
    assert said["user"]["id"] == world.cast.installer.pk
    assert {"id": world.site.pk, "name": world.site.name, "address": "Berlin"} in said["sites"]
    assert "pairing.create" in said["permissions"]
    assert "pairing.end" not in said["permissions"]
    assert len(said["csrf"]) == 64
    assert "no-store" in answer.headers["Cache-Control"]


def test_the_session_lists_only_sites_of_the_member(world: World, phone: Client) -> None:
    elsewhere = world.cast.site("Elsewhere 1")
    member = world.cast.home.member(Role.INSTALLER)
    member.all_sites = False
    member.save()
    member.site_access.create(site=elsewhere)
    assert [site["name"] for site in phone.get("/install/session/").json()["sites"]] == ["Elsewhere 1"]
    assert phone.get("/install/sites/", {"q": world.mark}).json() == {"sites": []}


def test_more_sites_than_a_phone_carries_are_found_by_name(
    world: World, phone: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.cast.site("Zum Alten Hafen 3")
    monkeypatch.setattr(session_module, "MAX_SITES", 1)
    said = phone.get("/install/session/").json()
    assert said["more_sites"] is True
    assert len(said["sites"]) == 1
    found = phone.get("/install/sites/", {"q": "alten hafen"}).json()["sites"]
    assert [site["name"] for site in found] == ["Zum Alten Hafen 3"]
    assert phone.get("/install/sites/", {"q": "x" * 10_000}).json() == {"sites": []}


def test_a_session_that_ended_is_said_as_such(browse: Browse, world: World) -> None:
    answer = browse(None).get("/install/session/")
    assert (answer.status_code, answer.json()["code"]) == (401, "signed_out")
    answer = browse(world.cast.viewer).get("/install/session/")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_every_word_that_the_scripts_ask_for_is_there_in_both_languages() -> None:
    asked = {key for script in SCRIPTS.rglob("*.js") for key in re.findall(r'\bword\(\s*"([^"]+)"', script.read_text())}
    for language in ("en", "de"):
        with override(language):
            there = {**words(), **install_words()}
        assert asked <= set(there), language
    english, german = ({}, {})
    for language, table in (("en", english), ("de", german)):
        with override(language):
            table.update(install_words())
    for key, text in english.items():
        assert sorted(PLACEHOLDER.findall(text)) == sorted(PLACEHOLDER.findall(german[key])), key


def test_the_decoder_is_the_one_that_its_readme_names() -> None:
    readme = (VENDOR / "README.md").read_text()
    script = (VENDOR / "barcode-detector.js").read_bytes()
    wasm = hashlib.sha256((VENDOR / "zxing_reader.wasm").read_bytes()).hexdigest()
    assert hashlib.sha256(script).hexdigest() in readme
    assert wasm in readme
    assert wasm.encode() in script, "the script belongs to another wasm"
