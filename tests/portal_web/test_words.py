"""Every text is there in German, with its placeholders, and the compiled catalogue is the written one."""

import ast
import gettext
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.utils.translation import override

from portal.web.words import words

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = ROOT / "portal" / "locale" / "de" / "LC_MESSAGES"
PLACEHOLDER = re.compile(r"%\(\w+\)s|\{\w*\}")
SOURCES = ("portal", "provisioning", "templates")

Text = tuple[str, str, list[str]]  # context, text, translations


def written() -> list[Text]:
    """The entries of the .po file."""
    found: list[Text] = []
    for block in (CATALOGUE / "django.po").read_text().split("\n\n"):
        lines = [line for line in block.splitlines() if line and not line.startswith("#")]
        fields: dict[str, str] = {}
        name = ""
        for line in lines:
            if line.startswith('"'):
                fields[name] += ast.literal_eval(line)
            else:
                name, _space, value = line.partition(" ")
                fields[name] = ast.literal_eval(value)
        if fields.get("msgid"):
            translations = [value for key, value in fields.items() if key.startswith("msgstr")]
            found.append((fields.get("msgctxt", ""), fields["msgid"], translations))
    return found


def test_there_is_a_german_text_for_every_english_one() -> None:
    missing = [text for _context, text, translations in written() if not all(translations)]
    assert missing == []


def test_german_texts_keep_the_placeholders() -> None:
    for _context, text, translations in written():
        for translation in translations:
            assert set(PLACEHOLDER.findall(translation)) == set(PLACEHOLDER.findall(text)), text


def test_the_compiled_catalogue_is_the_written_one() -> None:
    with (CATALOGUE / "django.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    for context, text, translations in written():
        if len(translations) > 1:  # Python before 3.11.5 finds a plural text's first form by ngettext only
            told = compiled.npgettext(context, text, "", 1) if context else compiled.ngettext(text, "", 1)
        else:
            told = compiled.pgettext(context, text) if context else compiled.gettext(text)
        assert told == translations[0], "compile portal/locale again: manage.py compilemessages"


@pytest.mark.skipif(shutil.which("xgettext") is None, reason="needs the program xgettext (apt-get install gettext)")
def test_no_text_in_the_sources_is_missing_in_the_catalogue(tmp_path: Path) -> None:
    target = tmp_path / "de" / "LC_MESSAGES"
    target.mkdir(parents=True)
    for name in SOURCES:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("vendor", "locale", "__pycache__"))
    script = (
        "import django; from django.conf import settings;"
        f"settings.configure(LOCALE_PATHS=[{str(tmp_path)!r}], INSTALLED_APPS=[]); django.setup();"
        "from django.core.management import call_command; call_command('makemessages', locale=['de'], verbosity=0)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    made = (target / "django.po").read_text()
    in_sources = set(re.findall(r'^msgid "(.+)"$', made, re.M))
    known = {text.replace("\\", "\\\\").replace('"', '\\"') for _context, text, _translations in written()}
    assert in_sources <= known, sorted(in_sources - known)[:5]


def test_the_scripts_words_are_translated() -> None:
    with override("en"):
        english = words()
    with override("de"):
        german = words()
    assert {key for key in english if english[key] == german[key]} <= {"live"}


def test_scripts_use_only_words_that_the_page_carries() -> None:
    scripts = ROOT / "portal" / "static" / "js"
    used = {key for file in scripts.glob("*.js") for key in re.findall(r'word\(\s*"([^"]+)"', file.read_text())}
    used |= {"live", "reconnecting"}
    with override("en"):
        assert used == set(words())
