"""Every sentence about a scan is known to the catalogue of translations."""

from django.utils import translation

from meterwire.scan.messages import FOUND, MESSAGES
from provisioning.pairing.scan_words import SENTENCES


def test_the_catalogue_names_each_sentence_of_a_scan() -> None:
    assert set(SENTENCES) == {*MESSAGES.values(), *FOUND.values()}


def test_each_sentence_is_said_in_german() -> None:
    with translation.override("de"):
        assert [text for text in SENTENCES if translation.gettext(text) == text and "%(" not in text] == []
