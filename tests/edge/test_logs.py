"""Logs: machine-readable, and unable to print a key."""

import io
import json
import logging

import pytest

from edge.logs import configure, redact, redact_text

KEY = "000102030405060708090a0b0c0d0e0f"


@pytest.fixture(autouse=True)
def restore_root():  # type: ignore[no-untyped-def]
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def logged(form: str, message: str, *args: object, **extra: object) -> str:
    stream = io.StringIO()
    configure(form, stream=stream)  # type: ignore[arg-type]
    logging.getLogger("test").info(message, *args, extra=extra)
    return stream.getvalue()


def test_json_lines_carry_the_fields() -> None:
    line = json.loads(logged("json", "joined %s", "now", dev_eui="70b3d57ed0061234", rssi=-80.5, detail={"a": [1]}))
    assert line["message"] == "joined now"
    assert (line["level"], line["logger"], line["dev_eui"], line["rssi"]) == ("info", "test", "70b3d57ed0061234", -80.5)
    assert line["detail"] == {"a": [1]}
    assert line["time"].endswith("Z")


def test_the_console_shows_one_line_with_fields() -> None:
    assert logged("console", "ready", port=1700).rstrip().endswith("INFO    test: ready port=1700")


@pytest.mark.parametrize(
    "name", ["key", "root_key", "app_s_key", "nwkSKey", "Password", "mqtt_password", "token", "keys", "key_hex"]
)
def test_a_secret_in_a_field_is_masked(name: str) -> None:
    for value in (KEY, bytes.fromhex(KEY), {"x": KEY}, [KEY]):
        for form in ("json", "console"):
            assert KEY not in logged(form, "stored", **{name: {name: value} if isinstance(value, dict) else value})
    assert KEY not in logged("json", "stored", detail={name: bytes.fromhex(KEY)})


@pytest.mark.parametrize(
    "text",
    [f"root_key={KEY}", f"appkey: '{KEY}'", f"Key {KEY}", f"the key is {KEY}", f'{{"nwk_s_key": "{KEY.upper()}"}}'],
)
def test_a_named_secret_in_the_text_is_masked(text: str) -> None:
    assert KEY not in redact_text(text).lower()
    assert KEY not in logged("json", text).lower()


def test_an_exception_is_shown_but_its_key_is_not() -> None:
    stream = io.StringIO()
    configure("json", stream=stream)
    try:
        raise ValueError(f"bad key={KEY}")
    except ValueError:
        logging.getLogger("test").exception("failed")
    assert "ValueError" in stream.getvalue()
    assert KEY not in stream.getvalue()


def test_what_is_public_stays_readable() -> None:
    assert redact("public_key", "ab" * 32) == "ab" * 32
    assert redact("payload", b"\x01\x02") == "0102"
    assert redact("key_slot", 3) == 3
    assert redact_text(f"public_key={KEY}") == f"public_key={KEY}"
