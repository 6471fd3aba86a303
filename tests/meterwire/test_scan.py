"""Raw scans are named as what they are: labels, meters, typing mistakes, and all the other codes in a cellar."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterwire.ids import SECTORS, DevEUI, JoinEUI, MeterId
from meterwire.label import Label, owner_token
from meterwire.scan import MAX_SCAN, MESSAGES, Kind, Scan, classify, expecting
from meterwire.scan.messages import FOUND

SCANS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent.parent / "vectors" / "scans.json").read_text(encoding="utf-8")
)
meters = st.builds(
    MeterId,
    st.sampled_from(sorted(SECTORS)),
    st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=3, max_size=3),
    st.integers(0, 255),
    st.integers(0, 99_999_999),
)
labels = st.builds(
    Label,
    st.builds(JoinEUI, st.binary(min_size=8, max_size=8)),
    st.builds(DevEUI, st.binary(min_size=8, max_size=8)),
    st.from_regex("[0-9A-F]{8}", fullmatch=True),
    st.binary(min_size=16, max_size=16).map(owner_token),
    st.none() | st.from_regex("[0-9A-Z]{1,12}", fullmatch=True),
)


def named(scan: Scan) -> dict[str, Any]:
    return {
        "dev_eui": scan.dev_eui and str(scan.dev_eui),
        "owner_token": scan.label and scan.label.owner_token,
        "serial": scan.label and scan.label.serial,
        "meter_id": scan.meter_id and str(scan.meter_id),
    }


@pytest.mark.parametrize("case", SCANS, ids=lambda case: case["name"])
def test_a_scan_is_named(case: dict[str, Any]) -> None:
    scan = classify(case["raw"])
    assert (scan.kind, scan.code) == (case["kind"], case["code"])
    found = named(scan)
    assert {name: found[name] for name in case.get("want", {})} == case.get("want", {})
    assert scan.message


def test_every_kind_and_every_sentence_has_a_case() -> None:
    assert len(SCANS) >= 70
    assert len({case["name"] for case in SCANS}) == len(SCANS)
    assert {case["kind"] for case in SCANS} == set(Kind)
    assert {case["code"] for case in SCANS} == set(MESSAGES)


def test_a_mistake_says_where_it_is_and_what_was_meant_but_corrects_nothing() -> None:
    scan = classify("IEMHO01234567B")
    assert scan.message == (
        "Letters and digits are mixed up (1: 1 not I, 5: 0 not O, 14: 8 not B): is it 1 EMH 00 1234 5678?"
    )
    assert scan.meter_id is None


def test_the_answer_shows_no_secret() -> None:
    token = owner_token(bytes(range(16)))
    label = Label(JoinEUI(bytes(8)), DevEUI(bytes(8)), "00000000", token)
    for raw in (label.format(), label.format()[:-1] + "Z", "000102030405060708090A0B0C0D0E0F", "WIFI:S:a;P:geheim;;"):
        scan = classify(raw)
        shown = f"{scan!r} {scan.message} {expecting(scan, 'adapter')} {expecting(scan, 'meter')}"
        assert not any(secret in shown for secret in (token, "geheim", "0A0B0C"))


@pytest.mark.parametrize(
    ("raw", "wanted", "message"),
    [
        ("1EMH0012345678", "adapter", "This is the meter's barcode; scan the adapter first."),
        ("LW:D0:42FFFFFFFFFFFFFF:4242FFFFFFFFFFFF:42FFFF42", "meter", "This is the adapter's label; now scan"),
        ("70B3D57ED0061234", "meter", "number of an adapter"),
        ("LW:D0:42", "meter", "looks like an adapter's label"),
        ("LW:D0:42", "adapter", "incomplete or damaged"),
        ("1EMHO012345678", "adapter", "scan the adapter first"),
        ("1EMHO012345678", "meter", "is it 1 EMH 00 1234 5678?"),
        ("4006381333931", "adapter", "barcode of the package"),
        ("4006381333931", "meter", "barcode of a package"),
        ("hello", "adapter", "begins with LW:D0"),
        ("hello", "meter", "14 characters"),
        ("MECARD:N:Muster;;", "meter", "business card"),
        ("", "meter", "Nothing was read"),
    ],
)
def test_the_wrong_code_says_what_to_scan_instead(raw: str, wanted: Any, message: str) -> None:
    assert message in (expecting(classify(raw), wanted) or "")


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        ("1EMH0012345678", "meter"),
        ("LW:D0:42FFFFFFFFFFFFFF:4242FFFFFFFFFFFF:42FFFF42", "adapter"),
        ("70B3D57ED0061234", "adapter"),
    ],
)
def test_the_right_code_needs_no_sentence(raw: str, wanted: Any) -> None:
    assert expecting(classify(raw), wanted) is None


def test_every_pair_of_a_kind_and_a_wish_has_a_sentence() -> None:
    assert {kind for kind, _ in FOUND} <= set(Kind)
    for case in SCANS:
        scan = classify(case["raw"])
        for wanted in ("adapter", "meter"):
            met = scan.kind == wanted or (scan.kind is Kind.DEV_EUI and wanted == "adapter")
            assert bool(expecting(scan, wanted)) is not met  # type: ignore[arg-type]


@given(meters, st.sampled_from(["{}", "]C0{}", "AA{}", "{}\r\n", "]d2AA{}\nAB42", "https://a.example/{}", "x;{};y"]))
def test_a_meter_is_found_wherever_it_is_printed(meter: MeterId, form: str) -> None:
    for text in (str(meter), meter.display, str(meter).lower()):
        scan = classify(form.format(text))
        assert (scan.kind, scan.meter_id) == (Kind.METER, meter)


@given(labels, st.sampled_from(["{}", "]Q3{}", "{}\r", " {}\t\r\n"]), st.booleans())
def test_our_own_label_is_read_in_any_case(label: Label, form: str, small: bool) -> None:
    text = label.format().lower() if small else label.format()
    assert classify(form.format(text)).label == label


@given(labels, st.data())
def test_no_changed_character_of_our_label_claims_an_adapter(label: Label, data: st.DataObject) -> None:
    text = label.format()
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ").filter(lambda c: c != text[place]))
    scan = classify(text[:place] + other + text[place + 1 :])
    # Only the field that says whether a checksum follows is outside its reach: then the label counts as unchecked.
    assert scan.code != "adapter"
    assert scan.label is None or scan.code == "adapter_unchecked"


@given(st.text(max_size=600) | st.text("1EMH0 -LWD:OSPC]d2\n\r", max_size=80))
def test_any_text_gets_an_answer(raw: str) -> None:
    scan = classify(raw)
    assert scan.message
    assert (scan.kind is Kind.TOO_LONG) is (len(raw) > MAX_SCAN)
    assert (scan.label is not None) is (scan.kind is Kind.ADAPTER)
    assert (scan.meter_id is not None) is (scan.kind is Kind.METER)


@given(st.text(st.characters(categories=["Cc", "Cf"], exclude_characters="\t\r\n\x1d"), min_size=1, max_size=3))
def test_a_control_character_is_refused_wherever_it_is(control: str) -> None:
    for raw in (f"1EMH{control}0012345678", f"{control}1EMH0012345678", f"1EMH0012345678{control}"):
        assert classify(raw).kind is Kind.CONTROL_CHARACTERS


def test_an_answer_is_a_value() -> None:
    scan = classify("1EMH0012345678")
    assert scan == classify("]C01 emh 00 1234 5678\r\n")
    assert replace(scan, code="meter_server_id") != scan
