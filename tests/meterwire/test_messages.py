"""MQTT messages: what is encoded is read again, and nothing a peer may send does more than raise our errors."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterwire.errors import FormatError, LimitExceeded, UnsupportedVersion
from meterwire.messages import (
    MAX_MESSAGE_BYTES,
    MAX_TELEGRAMS,
    Abp,
    ClockState,
    DeviceEntry,
    DevicesCommand,
    DownlinkCommand,
    Event,
    GatewayState,
    Message,
    Receipt,
    Result,
    Rx,
    State,
    Telegram,
    TelegramBatch,
    WrappedKey,
    decode_command,
    decode_event,
    decode_receipt,
    decode_state,
    decode_telegrams,
    encode,
    parse_timestamp,
    timestamp,
    ulid,
)

ID = "01JD0000000000000000000000"
TIME = "2026-01-01T00:00:00.000Z"
EUI = "70b3d57ed0061234"
DECODERS = [decode_telegrams, decode_event, decode_state, decode_receipt, decode_command]

times = st.floats(0, 4e9).map(timestamp)
ids = st.builds(ulid, st.floats(0, 4e9), st.binary(min_size=10, max_size=10))
euis = st.binary(min_size=8, max_size=8).map(bytes.hex)
words = st.integers(0, 0xFFFFFFFF)
telegrams = st.builds(
    Telegram,
    id=ids,
    dev_eui=euis,
    fport=st.integers(0, 255),
    fcnt=words,
    payload=st.binary(max_size=242),
    rx=st.lists(st.builds(Rx, gw=euis, rssi=st.floats(-200, 50), snr=st.floats(-50, 50)), min_size=1, max_size=4).map(
        tuple
    ),
    dr=st.integers(0, 15),
    freq=st.integers(0, 2_000_000_000),
    received_at=times,
    time_quality=st.sampled_from(["gps", "ntp", "free", "none"]),
    counter=st.none() | words,
    epoch=words,
)
wrapped = st.builds(WrappedKey, epk=st.binary(min_size=32, max_size=33), wrapped=st.binary(min_size=24, max_size=24))
devices = st.builds(
    DeviceEntry,
    dev_eui=euis,
    join_eui=euis,
    root_key=st.none() | wrapped,
    abp=st.none()
    | st.builds(Abp, dev_addr=st.binary(min_size=4, max_size=4).map(bytes.hex), nwk_s_key=wrapped, app_s_key=wrapped),
    lorawan=st.sampled_from(["1.0.2", "1.0.3", "1.0.4"]),
    foreign=st.booleans(),
)


def telegram(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "id": ID,
        "dev_eui": EUI,
        "fport": 16,
        "fcnt": 1,
        "payload": "ESZ/",
        "rx": [{"gw": EUI, "rssi": -80, "snr": 7}],
        "dr": 5,
        "freq": 868_100_000,
        "received_at": TIME,
        "time_quality": "ntp",
    }
    return fields | changes


def body(**fields: Any) -> bytes:
    return json.dumps({"v": 1, "id": ID, "time": TIME} | fields).encode()


class TestRoundTrips:
    @given(ids, times, st.lists(telegrams, min_size=1, max_size=3).map(tuple))
    def test_telegrams(self, id_: str, time: str, batch: tuple[Telegram, ...]) -> None:
        message = TelegramBatch(id=id_, time=time, telegrams=batch)
        assert decode_telegrams(encode(message)) == message

    @pytest.mark.parametrize(
        "message",
        [
            Event(id=ID, time=TIME, kind="joined", dev_eui=EUI, detail={"dev_addr": "26011bda", "epoch": 3}),
            Event(id=ID, time=TIME, kind="clock", reason="jump", detail={"offset_ms": -1500.5}),
        ],
    )
    def test_events(self, message: Event) -> None:
        assert decode_event(encode(message)) == message

    @given(st.text(max_size=500), st.integers(0, 1 << 40), st.floats(0, 1e9))
    def test_states(self, version: str, depth: int, age: float) -> None:
        message = State(
            id=ID,
            time=TIME,
            online=True,
            boot=ID,
            version=version,
            public_key="00" * 32,
            revision=7,
            devices=12,
            queue_depth=depth,
            oldest_age_s=age,
            clock=ClockState(quality="ntp", offset_ms=1.5),
            gateways=(GatewayState(gw=EUI, online=True, last_seen=TIME),),
        )
        assert decode_state(encode(message)) == message

    @given(st.lists(st.builds(Result, id=ids, code=st.none() | st.just("tag_mismatch")), min_size=1).map(tuple))
    def test_receipts(self, results: tuple[Result, ...]) -> None:
        message = Receipt(id=ID, time=TIME, results=results)
        assert decode_receipt(encode(message)) == message

    @given(st.lists(devices, max_size=3).map(tuple), st.lists(euis, max_size=3).map(tuple), st.none() | st.integers(0))
    def test_device_tables(self, upsert: tuple[DeviceEntry, ...], remove: tuple[str, ...], base: int | None) -> None:
        message = DevicesCommand(
            id=ID, time=TIME, revision=1, base=base if base is None else base % 100, upsert=upsert, remove=remove
        )
        assert decode_command(encode(message)) == message

    @given(st.integers(1, 223), st.binary(max_size=242), st.integers(0, 9))
    def test_downlinks(self, fport: int, payload: bytes, priority: int) -> None:
        message = DownlinkCommand(
            id=ID, time=TIME, dev_eui=EUI, fport=fport, payload=payload, expires_at=TIME, priority=priority
        )
        assert decode_command(encode(message)) == message

    def test_fields_of_a_newer_peer_are_ignored(self) -> None:
        assert decode_event(body(kind="heard", invented={"x": [1]})) == Event(id=ID, time=TIME, kind="heard")


class TestRefusals:
    @pytest.mark.parametrize("decode", DECODERS)
    @pytest.mark.parametrize("version", [0, 2, 99])
    def test_another_schema_version_is_named(self, decode: Any, version: int) -> None:
        with pytest.raises(UnsupportedVersion, match=f"schema version {version}; this release reads 1"):
            decode(body(v=version, kind="joined"))

    @pytest.mark.parametrize("decode", DECODERS)
    def test_a_message_without_a_version_is_refused(self, decode: Any) -> None:
        with pytest.raises(FormatError):
            decode(b'{"id":"x"}')

    def test_a_hundred_thousand_telegrams_are_refused_by_size(self) -> None:
        huge = body(telegrams=[telegram()] * 100_000)
        with pytest.raises(LimitExceeded, match="bytes; at most"):
            decode_telegrams(huge)

    def test_a_hundred_thousand_results_and_devices_are_refused(self) -> None:
        for decode, huge in (
            (decode_receipt, body(results=[{"id": ID}] * 100_000)),
            (decode_command, body(kind="devices", revision=1, remove=[EUI] * 100_000)),
        ):
            with pytest.raises(LimitExceeded):
                decode(huge)

    def test_one_telegram_over_the_limit_is_refused(self) -> None:
        assert len(decode_telegrams(body(telegrams=[telegram()] * MAX_TELEGRAMS)).telegrams) == MAX_TELEGRAMS
        with pytest.raises(LimitExceeded, match="201 telegrams"):
            decode_telegrams(body(telegrams=[telegram()] * (MAX_TELEGRAMS + 1)))

    def test_every_list_has_a_bound(self) -> None:
        gateway = {"gw": EUI, "online": True}
        for decode, long in (
            (decode_telegrams, body(telegrams=[])),
            (decode_telegrams, body(telegrams=[telegram(rx=[])])),
            (decode_telegrams, body(telegrams=[telegram(rx=[{"gw": EUI, "rssi": 0, "snr": 0}] * 33)])),
            (decode_receipt, body(results=[])),
            (decode_receipt, body(results=[{"id": ID}] * 1001)),
            (decode_command, body(kind="devices", revision=1, remove=[EUI] * 201)),
            (decode_event, body(kind="joined", detail={str(n): n for n in range(21)})),
            (decode_state, body(online=True, boot=ID, gateways=[gateway] * 33)),
            (decode_state, body(online=True, boot=ID, version="x" * 501)),
        ):
            with pytest.raises(FormatError):
                decode(long)

    @pytest.mark.parametrize(
        "changes",
        [
            {"id": "not-a-ulid"},
            {"id": ID + "\n"},
            {"dev_eui": EUI.upper()},
            {"dev_eui": EUI + "\n"},
            {"dev_eui": EUI[1:]},
            {"fport": 256},
            {"fport": -1},
            {"fport": 1.5},
            {"fcnt": 1 << 32},
            {"counter": 1 << 32},
            {"payload": "A" * 324 + "AAAA"},
            {"payload": "***"},
            {"dr": 16},
            {"received_at": "2026-01-01 00:00:00"},
            {"received_at": TIME + "\n"},
            {"received_at": "٢٠٢٦-01-01T00:00:00.000Z"},
            {"time_quality": "sundial"},
            {"rx": [{"gw": EUI, "rssi": -1e300, "snr": 0}]},
        ],
        ids=str,
    )
    def test_a_field_outside_its_range_is_refused(self, changes: dict[str, Any]) -> None:
        with pytest.raises(FormatError):
            decode_telegrams(body(telegrams=[telegram(**changes)]))

    @pytest.mark.parametrize("kind", ["reboot", "", None, 7])
    def test_an_unknown_command_is_refused(self, kind: object) -> None:
        with pytest.raises(FormatError):
            decode_command(body(kind=kind))

    @pytest.mark.parametrize(
        "hostile",
        [
            b"",
            b"\xff\xfe",
            b"null",
            b"[]",
            b'{"v":1e999}',
            b'{"v":true}',
            b'{"v":1,"x":' + b"[" * 100_000,
            b'{"v":1,"id":"%s","time":"%s","kind":"joined","detail":' % (ID.encode(), TIME.encode())
            + b'{"a":' * 50_000,
            b'{"v":1,"id":"%s","time":"%s","kind":"joined","detail":{"a":%s}}'
            % (ID.encode(), TIME.encode(), b"9" * 9999),
        ],
        ids=lambda hostile: repr(hostile[:12]),
    )
    @pytest.mark.parametrize("decode", DECODERS)
    def test_hostile_bodies_are_refused(self, decode: Any, hostile: bytes) -> None:
        with pytest.raises(FormatError):
            decode(hostile)

    @pytest.mark.parametrize("decode", DECODERS)
    @given(content=st.binary(max_size=200))
    def test_no_bytes_raise_anything_but_our_errors(self, decode: Any, content: bytes) -> None:
        with pytest.raises(FormatError):
            decode(content)

    @pytest.mark.parametrize("decode", DECODERS)
    @given(
        fields=st.dictionaries(
            st.sampled_from(
                ["v", "id", "time", "kind", "telegrams", "results", "online", "boot", "detail", "revision"]
            ),
            st.recursive(
                st.none()
                | st.booleans()
                | st.integers()
                | st.floats()
                | st.text(max_size=8)
                | st.just(ID)
                | st.just(TIME),
                lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
                max_leaves=8,
            ),
        )
    )
    def test_no_json_raises_anything_but_our_errors(self, decode: Any, fields: dict[str, Any]) -> None:
        message: Message | None = None
        try:
            message = decode(json.dumps({"v": 1} | fields).encode())
        except FormatError:
            return
        assert decode(encode(message)) == message

    def test_the_largest_batch_a_concentrator_makes_is_accepted(self) -> None:
        worst = telegram(payload="A" * 322 + "==", rx=[{"gw": EUI, "rssi": -123.45, "snr": -12.25}] * 32)
        batch = body(telegrams=[worst] * 60)
        assert len(batch) < MAX_MESSAGE_BYTES
        assert len(decode_telegrams(batch).telegrams) == 60


class TestTimes:
    @pytest.mark.parametrize(
        ("unix", "text"),
        [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_767_225_600, "2026-01-01T00:00:00.000Z"),
            (1_767_225_600.001, "2026-01-01T00:00:00.001Z"),
            (1_767_225_600.9994, "2026-01-01T00:00:00.999Z"),
        ],
    )
    def test_are_cut_to_milliseconds(self, unix: float, text: str) -> None:
        assert timestamp(unix) == text

    @given(st.integers(0, 4_000_000_000_000))
    def test_survive_being_read_and_written(self, milliseconds: int) -> None:
        text = timestamp(milliseconds / 1000)
        assert timestamp(parse_timestamp(text).timestamp()) == text
        assert parse_timestamp(text).tzname() == "UTC"

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "now",
            "2026-01-01",
            "2026-02-30T00:00:00.000Z",
            "2026-01-01T24:00:00.000Z",
            TIME[:-1],
            TIME + "\n",
            "x" * 999,
        ],
    )
    def test_that_do_not_exist_are_refused(self, text: str) -> None:
        with pytest.raises(FormatError):
            parse_timestamp(text)


class TestUlids:
    def test_sort_by_time(self) -> None:
        assert ulid(0, bytes(10)) == "0" * 26
        assert ulid(1.0, b"\xff" * 10) < ulid(1.001, bytes(10))

    @given(st.floats(0, 2e11), st.binary(min_size=10, max_size=10))
    def test_are_ids_of_messages(self, unix: float, randomness: bytes) -> None:
        assert decode_event(body(id=ulid(unix, randomness), kind="heard")).kind == "heard"

    def test_take_ten_random_bytes(self) -> None:
        with pytest.raises(ValueError, match="10 random bytes"):
            ulid(0, bytes(9))
