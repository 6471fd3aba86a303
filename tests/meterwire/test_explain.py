"""`explain` names what a text is, opens what the keys prove, and refuses what they do not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterwire.errors import (
    AuthenticationError,
    FormatError,
    IdentifierError,
    LimitExceeded,
    MeterspanError,
    MicMismatch,
    ReplayError,
    TagMismatch,
    ValueOutOfRange,
)
from meterwire.explain import MAX_TEXT, Context, explain
from meterwire.ids import DevEUI, JoinEUI
from meterwire.lorawan.crypto import RootKey, Session, SessionKeys
from meterwire.lorawan.mac_commands import DeviceTimeReq, LinkADRAns, encode_commands
from meterwire.registers import register_number
from meterwire.seal import InnerKey, Key16, Mode, Value, ValuesSealer
from tests.meterwire.vectors import load

IDENTIFIERS, TELEGRAMS = load("identifiers"), load("values_telegrams")
INNER = Key16(bytes.fromhex(TELEGRAMS["key"]))
DEVICE = DevEUI.parse(TELEGRAMS["dev_eui"])
SEALED = TELEGRAMS["telegrams"][0]["bytes"]
REGISTERS = {
    "1-0:1.8.0": {"value": "56841020", "unit": "Wh"},
    "1-0:2.8.0": {"value": "3197930", "unit": "Wh"},
}
NWK, APP, ROOT = Key16(b"\x02" * 16), Key16(b"\x01" * 16), Key16(b"\x03" * 16)
SESSION = Session(SessionKeys(NWK.reveal(), APP.reveal()), 0x01020304)


def read(text: str, **known: Any) -> dict[str, Any]:
    answer = explain(text, Context(**known))
    assert json.loads(json.dumps(answer)) == answer
    return answer


class TestValuesTelegrams:
    @pytest.mark.parametrize("vector", TELEGRAMS["telegrams"], ids=lambda vector: vector["name"])
    def test_open_with_the_key(self, vector: dict[str, Any]) -> None:
        answer = read(vector["bytes"], port=16, dev_eui=DEVICE, key=INNER, last_counter=75390)
        assert answer["kind"] == "values telegram"
        assert answer["registers"] == REGISTERS
        assert (answer["counter"], answer["key_slot"], answer["authentic"]) == (75391, 1, True)
        assert (answer["mode"], answer["tag_length"]) == (vector["mode"], vector["tag_length"])

    def test_open_without_the_port_and_with_blanks(self) -> None:
        assert read("11 267f 61 9cc262b8 42 d3e97e d2d1c10f", dev_eui=DEVICE, key=INNER)["registers"] == REGISTERS

    def test_without_the_last_counter_its_upper_half_is_found(self) -> None:
        assert read(SEALED, dev_eui=DEVICE, key=INNER)["counter"] == 75391

    def test_without_the_key_the_registers_are_listed_as_sealed(self) -> None:
        answer = read(SEALED)
        assert answer["registers"] == {
            "1-0:1.8.0": {"value": None, "unit": "Wh", "sealed_bytes": 4},
            "1-0:2.8.0": {"value": None, "unit": "Wh", "sealed_bytes": 3},
        }
        assert (answer["authentic"], answer["counter"], answer["counter_low"]) == (None, None, 0x267F)
        assert read(SEALED, last_counter=75390)["counter"] == 75391

    def test_an_identity_hash_is_named_and_has_no_unit(self) -> None:
        sealer = ValuesSealer(InnerKey(INNER.reveal()), 0, DEVICE)
        telegram = sealer.seal(1, [Value(1, 10), Value(31, 0x01A2B3C4), Value(95, 5)]).hex()
        opened = read(telegram, dev_eui=DEVICE, key=INNER)["registers"]
        assert opened["identity hash"] == {"value": "01a2b3c4", "unit": ""}
        assert opened["identity hash input 2"] == {"value": "00000005", "unit": ""}
        assert read(telegram)["registers"]["identity hash"] == {"value": None, "unit": "", "sealed_bytes": 4}

    def test_in_mode_2_without_the_key_no_register_is_known(self) -> None:
        assert read(TELEGRAMS["telegrams"][2]["bytes"])["registers"] is None

    def test_clear_values_are_shown_and_called_unproved(self) -> None:
        sealer = ValuesSealer(InnerKey(bytes(16)), 0, DEVICE)
        for mode in (Mode.CLEAR, Mode.METER):
            answer = read(sealer.seal(5, [Value(11, 2301), Value(7, -40)], mode).hex(), port=16)
            assert answer["registers"] == {
                "1-0:32.7.0": {"value": "230.1", "unit": "V"},
                "1-0:16.7.0": {"value": "-40", "unit": "W"},
            }
            assert answer["authentic"] is None

    def test_registers_of_other_inputs_have_their_own_names(self) -> None:
        sealer = ValuesSealer(InnerKey(INNER.reveal()), 1, DEVICE)
        telegram = sealer.seal(1, [Value(1, 10), Value(register_number(1, 2), 20)]).hex()
        assert set(read(telegram, dev_eui=DEVICE, key=INNER)["registers"]) == {"1-0:1.8.0", "1-0:1.8.0 input 2"}

    def test_a_wrong_key_names_what_to_compare(self) -> None:
        with pytest.raises(TagMismatch, match=r"wrong key, wrong DevEUI or changed bytes; compare .* slot \(1\)"):
            read(SEALED, dev_eui=DEVICE, key=ROOT)

    def test_every_change_of_a_single_bit_is_refused(self) -> None:
        payload = bytes.fromhex(SEALED)
        for bit in range(128):
            changed = bytearray(payload)
            changed[bit // 8] ^= 1 << bit % 8
            with pytest.raises(MeterspanError):
                read(changed.hex(), port=16, dev_eui=DEVICE, key=INNER, last_counter=75390)

    @pytest.mark.parametrize("last", [75391, 75392, 80000, 140926])
    def test_a_replay_is_refused_with_its_counter(self, last: int) -> None:
        with pytest.raises(ReplayError, match=f"counter 75391, not above the last counter {last}"):
            read(SEALED, dev_eui=DEVICE, key=INNER, last_counter=last)

    def test_a_counter_too_far_ahead_is_refused_with_its_value(self) -> None:
        with pytest.raises(TagMismatch, match="counter 75391, more than 65535 above the last counter 10"):
            read(SEALED, dev_eui=DEVICE, key=INNER, last_counter=10)

    def test_the_key_alone_is_not_enough(self) -> None:
        with pytest.raises(ValueOutOfRange, match="give --dev-eui"):
            read(SEALED, key=INNER)

    def test_a_key_proves_nothing_where_there_is_no_tag(self) -> None:
        telegram = ValuesSealer(InnerKey(INNER.reveal()), 1, DEVICE).seal(5, [Value(1, 7)], Mode.METER).hex()
        with pytest.raises(FormatError, match="no tag"):
            read(telegram, port=16, dev_eui=DEVICE, key=INNER)


class TestFrames:
    def test_a_frame_that_carries_a_values_telegram_is_read_to_the_bottom(self) -> None:
        phy = SESSION.build(
            uplink=True,
            fcnt32=70000,
            fport=16,
            payload=bytes.fromhex(SEALED),
            adr=True,
            fopts=encode_commands([DeviceTimeReq(), LinkADRAns(True, True, False)]),
        )
        answer = read(
            phy.hex(),
            nwk_s_key=NWK,
            app_s_key=APP,
            fcnt_high=1,
            dev_eui=DEVICE,
            key=INNER,
            last_counter=75390,
        )
        assert (answer["kind"], answer["type"], answer["dev_addr"]) == (
            "LoRaWAN frame",
            "unconfirmed uplink",
            "01020304",
        )
        assert (answer["fcnt"], answer["fcnt_full"], answer["adr"], answer["mic_ok"]) == (
            70000 - 65536,
            70000,
            True,
            True,
        )
        assert [command["name"] for command in answer["mac_commands"]] == ["DeviceTimeReq", "LinkADRAns"]
        assert answer["mac_commands"][1]["power_ack"] is False
        assert answer["payload"] == SEALED
        assert answer["content"]["registers"] == answer["registers"] == REGISTERS
        assert answer["authentic"] is answer["content"]["authentic"] is True
        assert (answer["counter"], answer["key_slot"]) == (75391, 1)

    def test_without_keys_all_header_fields_show(self) -> None:
        answer = read("a00403020180ff2a2a0af1a36a05d0125f885d881d49e1")
        assert (answer["type"], answer["direction"], answer["fcnt"], answer["fport"]) == (
            "confirmed downlink",
            "down",
            11007,
            42,
        )
        assert (answer["frm_payload"], answer["mic"]) == ("0af1a36a05d0125f885d", "881d49e1")
        assert (answer["mic_ok"], answer["payload"]) == (None, None)
        assert "content" not in answer

    def test_a_payload_of_another_port_shows_as_bytes_and_text(self) -> None:
        answer = read("a00403020180ff2a2a0af1a36a05d0125f885d881d49e1", nwk_s_key=NWK, app_s_key=APP, fcnt_high=1)
        assert answer["content"]["text"] == "hello lora"

    def test_the_application_key_alone_decrypts_and_proves_nothing(self) -> None:
        answer = read("a00403020180ff2a2a0af1a36a05d0125f885d881d49e1", app_s_key=APP, fcnt_high=1)
        assert (answer["mic_ok"], bytes.fromhex(answer["payload"])) == (None, b"hello lora")

    def test_mac_commands_on_port_0_are_decrypted_with_the_network_key(self) -> None:
        answer = read("40040302010000000069369eee6aa508", nwk_s_key=APP)
        assert answer["payload"] == "020305"
        assert [command["name"] for command in answer["mac_commands"]] == ["LinkCheckReq", "LinkADRAns"]

    def test_what_follows_an_unknown_command_is_shown_unread(self) -> None:
        phy = SESSION.build(uplink=True, fcnt32=1, fopts=bytes.fromhex("02f00102"))
        answer = read(phy.hex())
        assert ([command["name"] for command in answer["mac_commands"]], answer["mac_unknown"]) == (
            ["LinkCheckReq"],
            "f00102",
        )

    def test_a_wrong_upper_counter_half_is_found(self) -> None:
        with pytest.raises(MicMismatch, match=r"it fits with --fcnt-high 1$"):
            read("a00403020180ff2a2a0af1a36a05d0125f885d881d49e1", nwk_s_key=NWK, app_s_key=APP)

    def test_swapped_session_keys_are_found(self) -> None:
        with pytest.raises(MicMismatch, match=r"session keys swapped with --fcnt-high 1$"):
            read("a00403020180ff2a2a0af1a36a05d0125f885d881d49e1", nwk_s_key=APP, app_s_key=NWK)

    def test_a_wrong_key_or_a_changed_bit_is_refused(self) -> None:
        with pytest.raises(MicMismatch, match="wrong network session key"):
            read("a00403020180ff2a2a0af1a36a05d0125f885d881d49e1", nwk_s_key=ROOT, fcnt_high=1)
        with pytest.raises(MicMismatch):
            read("a00403020180ff2a2a0af1a36a05d0125f885c881d49e1", nwk_s_key=NWK, fcnt_high=1)

    def test_foreign_bytes_on_port_16_do_not_spoil_the_frame(self) -> None:
        phy = SESSION.build(uplink=True, fcnt32=1, fport=16, payload=b"\xff" * 20)
        answer = read(phy.hex(), nwk_s_key=NWK, app_s_key=APP)
        assert (answer["mic_ok"], answer["content"]["kind"]) == (True, "unreadable")
        assert "version 3" in answer["content"]["error"]

    def test_a_join_request_is_read_and_with_the_root_key_proved(self) -> None:
        phy = RootKey(ROOT.reveal()).sign_join_request(JoinEUI(b"joineui8"), DEVICE, 771)
        answer = read(phy.hex())
        assert (answer["type"], answer["dev_eui"], answer["dev_nonce"], answer["mic_ok"]) == (
            "join-request",
            str(DEVICE),
            771,
            None,
        )
        assert read(phy.hex(), key=ROOT)["mic_ok"] is True
        with pytest.raises(MicMismatch):
            read(phy.hex(), key=APP)

    def test_a_join_accept_shows_its_fields_with_the_root_key_only(self) -> None:
        accept = "20e45673b63cb4b9cecb2aa83f0333e615d2ac89eea1659837c3aa6df9689889cf"
        assert read(accept)["encrypted"] is True
        answer = read(accept, key=APP)
        assert answer["cflist_hz"] == [867_100_000, 867_300_000, 867_500_000, 867_700_000, 867_900_000]
        assert (answer["rx_delay_s"], answer["mic_ok"]) == (3, True)
        assert "could_also_be" not in answer

    def test_a_whole_frame_given_as_a_payload_is_noticed(self) -> None:
        with pytest.raises(FormatError, match="leave --port out"):
            read("40F17DBE4900020001954378762B11FF0D", port=16)

    @pytest.mark.parametrize(
        "phy", ["40f17dbe49000200019543", "40f17dbe490f02000195437876", "41f17dbe4900020001954378762b11ff0d"]
    )
    def test_what_is_no_frame_is_refused(self, phy: str) -> None:
        for known in ({}, {"nwk_s_key": NWK}):
            with pytest.raises(FormatError):
                read(phy, **known)


class TestOtherPayloads:
    def test_a_registration_report_is_read(self) -> None:
        answer = read("0003010181040001267f8205302e312e307f0101", port=33)
        assert (answer["version"], answer["part"], answer["parts"]) == (3, 1, 1)
        assert [(record["name"], record["value"]) for record in answer["records"]] == [
            ("counter", 75391),
            ("firmware", "0.1.0"),
            (None, "01"),
        ]

    @pytest.mark.parametrize(("port", "content"), [(17, "LMN telegram"), (32, "control command"), (7, "not used")])
    def test_other_ports_are_named(self, port: int, content: str) -> None:
        answer = read("8111", port=port)
        assert answer["content"].startswith(content)
        assert answer["payload"] == "8111"

    def test_a_frame_of_signed_days_is_named(self) -> None:
        assert read("a011", port=34)["content"] == "key exchange or signed day"


class TestKeyMessages:
    KEYS = load("key_messages")
    BYTES = {vector["name"]: vector["bytes"] for vector in KEYS["messages"]}
    TRANSPORT, ADAPTER = Key16.parse(KEYS["transport_key"]), DevEUI.parse(KEYS["dev_eui"])

    @pytest.mark.parametrize("name", BYTES)
    def test_every_message_is_read_and_proved_by_the_transport_key(self, name: str) -> None:
        answer = read(self.BYTES[name], port=34, key=self.TRANSPORT, dev_eui=self.ADAPTER)
        assert (answer["kind"], answer["name"], answer["authentic"]) == ("key message", name, True)
        assert answer["direction"] == ("up" if self.BYTES[name] >= "80" else "down")
        assert read(self.BYTES[name], port=34)["authentic"] is None

    def test_a_delivery_shows_all_but_the_key(self) -> None:
        answer = read(self.BYTES["KeyDelivery"], port=34, key=self.TRANSPORT, dev_eui=self.ADAPTER)
        assert (answer["seq"], answer["purpose"], answer["slot"], answer["check_value_fits"]) == (7, "inner", 2, True)
        assert (answer["not_before"], answer["check_value"]) == ("2026-01-01T00:00:00+00:00", "eda330")
        assert self.KEYS["delivered_key"] not in json.dumps(answer)

    def test_a_report_names_each_key(self) -> None:
        held = read(self.BYTES["KeyReport"], port=34)["keys"]
        assert [(one["purpose"], one["slot"]) for one in held] == [("inner", 2), ("meter", 0)]

    def test_another_key_or_adapter_proves_nothing(self) -> None:
        for known in ({"key": INNER, "dev_eui": DevEUI.parse("70b3d57ed0069999")}, {"key": ROOT, "dev_eui": DEVICE}):
            with pytest.raises(AuthenticationError):
                read(self.BYTES["KeyRevoke"], port=34, **known)
        with pytest.raises(ValueOutOfRange, match="DevEUI"):
            read(self.BYTES["KeyRevoke"], port=34, key=self.TRANSPORT)

    def test_what_is_no_message_is_refused(self) -> None:
        for text in ("8111", "77" * 20, self.BYTES["KeyRevoke"] + "00"):
            with pytest.raises(FormatError):
                read(text, port=34)


class TestIdentifiers:
    @pytest.mark.parametrize("vector", IDENTIFIERS["meter_ids"], ids=lambda vector: vector["id"])
    def test_a_meter_shows_the_same_from_every_form(self, vector: dict[str, str]) -> None:
        expected = {
            "meter_id": vector["id"],
            "display": vector["display"],
            "oms_m_field": vector.get("oms_m_field_le"),
            "oms_a_field": vector.get("oms_a_field"),
            "lmn_server_id": vector.get("sml_server_id_lmn_wireless"),
        }
        forms = {
            vector["id"]: "meter identifier",
            vector["display"]: "meter identifier",
            vector["sml_server_id"]: "SML server id",
        }
        if "oms_a_field" in vector:
            forms[vector["oms_m_field_le"] + vector["oms_a_field"]] = "OMS address"
            forms[vector["sml_server_id_lmn_wireless"]] = "SML server id"
        for text, kind in forms.items():
            answer = read(text)
            assert answer["kind"] == kind
            assert {name: answer[name] for name in expected} == expected
        assert read(vector["id"])["server_id"] == vector["sml_server_id"]

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("70B3D57ED0061234", {"kind": "EUI-64", "eui": "70b3d57ed0061234", "on_air": "341206d07ed5b370"}),
            ("70-B3-D5-7E-D0-06-12-34", {"kind": "EUI-64", "label": "70B3D57ED0061234"}),
            ("001122FFFE334455", {"kind": "EUI-64", "mac": "00:11:22:33:44:55"}),
            ("00:11:22:33:44:55", {"kind": "MAC address", "label": "001122FFFE334455"}),
            ("05001122334455AA", {"kind": "EUI-64"}),
            ("05001122334455", {"kind": "SML server id", "mac": "00:11:22:33:44:55"}),
            ("0649534B0123456789AB", {"kind": "SML server id", "maker": "ISK", "meter_id": None}),
            ("41373559241", {"kind": "MaLo-ID", "issuer": "BDEW", "check_digit": 1}),
            ("10000000009", {"kind": "MaLo-ID", "issuer": "DVGW"}),
            ("E1137355921", {"kind": "NeLo-ID"}),
            ("C816417ST77", {"kind": "SR-ID"}),
            ("D5345G7F7F0", {"kind": "TR-ID"}),
            ("9903100000006", {"kind": "MP-ID", "issuer": "BDEW"}),
            ("DE00056266802AO6G56M11SN51G21M24S", {"kind": "MeLo-ID", "country": "DE", "postcode": "66802"}),
            ("10YDE-VE-------2", {"kind": "EIC", "office": "10", "object_type": "area"}),
        ],
    )
    def test_each_kind_is_told_from_the_others(self, text: str, expected: dict[str, Any]) -> None:
        answer = read(f"  {text}\n")
        assert {name: answer[name] for name in expected} == expected

    def test_what_could_be_read_in_two_ways_says_so(self) -> None:
        assert read("A815785634120002")["could_also_be"] == ["EUI-64"]

    @pytest.mark.parametrize(
        ("text", "cause"),
        [
            ("41373559242", "check digit of MaLo-ID"),
            ("E1137355922", "check digit of NeLo-ID"),
            ("9903100000007", "check digit of MP-ID"),
            ("XEMH0012345678", "does not begin with X"),
            ("1EMHO012345678", "5: 0 not O"),
            ("DE0005626680ZAO6G56M11SN51G21M24S", "no MeLo-ID"),
            ("10YDE-ENBW-----M", "check character of EIC"),
        ],
    )
    def test_a_mistake_is_named_by_its_rule(self, text: str, cause: str) -> None:
        with pytest.raises(IdentifierError, match=cause):
            read(text)

    @pytest.mark.parametrize(
        "text", ["1emh0012345678", "]d2AA1EMH0012345678\nAB42", "https://emh.example/1EMH0012345678"]
    )
    def test_a_meters_code_is_read_as_a_scanner_gives_it(self, text: str) -> None:
        answer = read(text)
        assert (answer["kind"], answer["meter_id"]) == ("meter identifier", "1EMH0012345678")
        assert answer["scanned"] == text

    def test_an_adapters_code_is_read_as_a_scanner_gives_it(self) -> None:
        label = load("labels")["valid"][1]
        assert read(f"]Q3{label.lower()}\r\n")["text"] == label

    @pytest.mark.parametrize(
        ("text", "cause"),
        [("4006381333931", "a product's package"), ("WIFI:S:Keller;;", "wireless network"), ("www.a.example", "link")],
    )
    def test_another_code_is_named(self, text: str, cause: str) -> None:
        with pytest.raises(FormatError, match=cause):
            read(text)

    def test_a_port_does_not_hide_an_identifier(self) -> None:
        assert read("1EMH0012345678", port=16)["kind"] == "meter identifier"


class TestLabels:
    def test_a_label_shows_its_fields(self) -> None:
        answer = read("LW:D0:70B3D57ED0000001:70B3D57ED0061234:FFFF0001:O0F3A9C:S1EMH0012345678:C5EC3")
        assert (answer["kind"], answer["dev_eui"], answer["join_eui"]) == (
            "adapter label",
            "70b3d57ed0061234",
            "70b3d57ed0000001",
        )
        assert (answer["owner_token"], answer["serial"], answer["checksum_ok"]) == ("0F3A9C", "1EMH0012345678", True)

    def test_a_label_without_a_checksum_was_not_checked(self) -> None:
        answer = read("LW:D0:70B3D57ED0000001:70B3D57ED0061234:FFFF0001")
        assert (answer["checksum_ok"], answer["serial"]) == (None, None)

    def test_a_damaged_label_is_refused(self) -> None:
        with pytest.raises(FormatError, match="checksum"):
            read("LW:D0:70B3D57ED0000001:70B3D57ED0061234:FFFF0001:O0F3A9C:S1EMH0012345678:C5EC0")


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "cause"),
        [
            ("", "no text"),
            ("hello", "no hex, no adapter label"),
            ("123", "no whole bytes"),
            ("ff" * 40, "no LoRaWAN frame"),
            ("ff", "give --port"),
            ("1b1b1b1b01010101760501020304", "adapter-agent read"),
        ],
    )
    def test_name_cause_and_cure(self, text: str, cause: str) -> None:
        with pytest.raises(FormatError, match=cause):
            read(text)

    def test_a_text_that_is_too_long_is_not_read(self) -> None:
        with pytest.raises(LimitExceeded):
            read("0" * (MAX_TEXT + 1))

    @pytest.mark.parametrize(
        "known", [{"port": 256}, {"last_counter": 1 << 32}, {"fcnt_high": 65536}, {"port": -1}], ids=str
    )
    def test_what_is_known_has_ranges_too(self, known: dict[str, Any]) -> None:
        with pytest.raises(ValueOutOfRange):
            Context(**known)

    @given(
        st.text(max_size=60)
        | st.binary(max_size=60).map(bytes.hex)
        | st.binary(max_size=40).map(lambda rest: "4004030201" + rest.hex())
        | st.text("0123456789ABCDEFGHLWMO:- ", max_size=40),
        st.none() | st.integers(0, 255),
    )
    def test_no_text_raises_anything_but_our_errors(self, text: str, port: int | None) -> None:
        try:
            assert read(text, port=port)["kind"]
        except MeterspanError:
            pass


class TestRecords:
    @pytest.mark.parametrize(
        ("record", "shown"),
        [
            (
                "010b000a01454d480000bc614e",
                {
                    "type": "0x01",
                    "name": "meter identity",
                    "input": 0,
                    "value": "0A01454D480000BC614E",
                    "meter_id": "1EMH0012345678",
                },
            ),
            ("0203000384", {"type": "0x02", "name": "reporting period", "value": 900, "unit": "s"}),
            ("03030001 07", {"type": "0x03", "name": "registers", "input": 0, "value": ["1-0:1.8.0", "1-0:16.7.0"]}),
            ("04010f", {"type": "0x04", "name": "commissioning", "value": 15, "unit": "min"}),
            ("830870b3d57ed0061234", {"type": "0x83", "name": "own identity", "value": "70b3d57ed0061234"}),
            (
                "84020000",
                {
                    "type": "0x84",
                    "name": "identity read",
                    "input": 0,
                    "kind": "the meter tells nothing",
                    "value": "",
                    "meter_id": None,
                },
            ),
            (
                "840b010249534b354d54313734",
                {
                    "type": "0x84",
                    "name": "identity read",
                    "input": 1,
                    "kind": "text",
                    "value": "49534B354D54313734",
                    "meter_id": None,
                    "text": "ISK5MT174",
                },
            ),
            (
                "850221ff",
                {
                    "type": "0x85",
                    "name": "resolution",
                    "register": "1-0:1.8.0",
                    "input": 1,
                    "exponent": -1,
                    "unit": "Wh",
                },
            ),
            ("86020708", {"type": "0x86", "name": "commissioning left", "value": 1800, "unit": "s"}),
            (
                "8706001103" + b"big".hex(),
                {
                    "type": "0x87",
                    "name": "configuration refused",
                    "version": 17,
                    "record_type": "0x03",
                    "reason": "big",
                },
            ),
            (
                "100d000201020001e240050014006c",
                {
                    "type": "0x10",
                    "name": "slot",
                    "frequency_hz": 868_300_000,
                    "channel": 1,
                    "phase_ms": 123_456,
                    "period_s": 900,
                    "data_rate": 5,
                    "guard_ms": 20,
                    "length_ms": 108,
                    "version": 2,
                },
            ),
            (
                "110a84add203038400007530",
                {
                    "type": "0x11",
                    "name": "beacon",
                    "frequency_hz": 869_525_000,
                    "data_rate": 3,
                    "period_s": 900,
                    "phase_ms": 30_000,
                },
            ),
            ("120101", {"type": "0x12", "name": "previous value", "value": True}),
            (
                "130701000476941d4c",
                {"type": "0x13", "name": "open time", "period_s": 300, "phase_ms": 292_500, "length_ms": 7500},
            ),
            (
                "9008000202003039000f",
                {
                    "type": "0x90",
                    "name": "slot report",
                    "version": 2,
                    "state": "does not trust its clock",
                    "rate_ppb": 12_345,
                    "uncertainty_ms": 15,
                },
            ),
            ("1f01ff", {"type": "0x1F", "name": None, "value": "ff"}),
        ],
    )
    def test_each_is_shown_by_its_fields(self, record: str, shown: dict[str, Any]) -> None:
        assert read("00040101" + record, port=33)["records"] == [shown]

    def test_one_out_of_bounds_is_refused_with_the_bound(self) -> None:
        with pytest.raises(FormatError, match="0 to 60 minutes, not 61"):
            read("0004010104013d", port=33)
