"""Identifiers: valid ones are read and converted both ways, wrong ones are refused with the rule they break."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterwire.errors import IdentifierError
from meterwire.ids import (
    SECTORS,
    DevEUI,
    Eic,
    Eui64,
    GatewayEUI,
    JoinEUI,
    MaloId,
    MarketId,
    MeloId,
    MeterId,
    MpId,
    NeloId,
    ServerId,
    SrId,
    TrId,
    flag_letters,
    flag_number,
    meter_id_of,
)
from tests.meterwire.vectors import load

VECTORS = load("identifiers")
LOCATIONS = {"NeLo-ID": NeloId, "SR-ID": SrId, "TR-ID": TrId}
SHARED = Path(__file__).parents[3] / "shared" / "data" / "ids.json"

meter_ids = st.builds(
    MeterId,
    st.sampled_from(sorted(SECTORS)),
    st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=3, max_size=3),
    st.integers(0, 255),
    st.integers(0, 99_999_999),
)


class TestEui64:
    @pytest.mark.parametrize(
        "text",
        [
            "70B3D57ED0061234",
            "70b3d57ed0061234",
            "70-B3-D5-7E-D0-06-12-34",
            "70:b3:d5:7e:d0:06:12:34",
            "70B3.D57E.D006.1234",
        ],
    )
    def test_is_read_in_every_usual_spelling(self, text: str) -> None:
        assert str(DevEUI.parse(text)) == "70b3d57ed0061234"

    @pytest.mark.parametrize(
        "text", ["", "70B3D57ED006123", "70B3D57ED00612345", "70B3D57ED006123G", "７０B3D57ED0061234", "-" * 100]
    )
    def test_refuses_what_is_not_sixteen_hex_digits(self, text: str) -> None:
        with pytest.raises(IdentifierError):
            DevEUI.parse(text)

    def test_shows_upper_case_to_people_and_turns_round_on_the_air(self) -> None:
        eui = JoinEUI.parse("70b3d57ed0061234")
        assert eui.label == "70B3D57ED0061234"
        assert eui.air.hex() == "341206d07ed5b370"
        assert JoinEUI.from_air(eui.air) == eui

    def test_kinds_with_the_same_octets_are_not_equal(self) -> None:
        octets = bytes(range(8))
        kinds: set[Eui64] = {kind.from_bytes(octets) for kind in (DevEUI, JoinEUI, GatewayEUI, DevEUI)}
        assert len(kinds) == 3
        assert {DevEUI(octets): 1}[DevEUI(octets)] == 1

    def test_order_is_that_of_the_text(self) -> None:
        assert GatewayEUI.parse("00" * 8) < GatewayEUI.parse("ff" * 8)

    def test_other_lengths_are_refused(self) -> None:
        with pytest.raises(IdentifierError, match="8 bytes, not 7"):
            Eui64.from_bytes(bytes(7))

    @pytest.mark.parametrize(("mac", "eui"), VECTORS["eui64_from_mac"].items())
    def test_comes_from_a_mac_address(self, mac: str, eui: str) -> None:
        assert Eui64.from_mac(mac).label == eui
        with pytest.raises(IdentifierError):
            Eui64.from_mac(mac[1:])

    @given(st.binary(min_size=8, max_size=8))
    def test_text_and_octets_say_the_same(self, octets: bytes) -> None:
        eui = DevEUI.from_bytes(octets)
        assert DevEUI.parse(str(eui)) == DevEUI.parse(eui.label) == eui
        assert eui.bytes == octets


class TestMeterId:
    @pytest.mark.parametrize("vector", VECTORS["meter_ids"], ids=lambda vector: vector["id"])
    def test_converts_to_every_form_and_back(self, vector: dict[str, str]) -> None:
        meter = MeterId.parse(vector["id"])
        assert MeterId.parse(vector["display"]) == meter
        assert (str(meter), meter.display) == (vector["id"], vector["display"])
        assert meter.server_id().hex().upper() == vector["sml_server_id"]
        assert meter_id_of(meter.server_id()) == meter
        if "oms_a_field" in vector:
            m_field, a_field = meter.oms()
            assert (m_field.hex().upper(), a_field.hex().upper()) == (vector["oms_m_field_le"], vector["oms_a_field"])
            assert MeterId.from_oms(m_field, a_field) == meter
            assert meter.lmn_server_id().hex().upper() == vector["sml_server_id_lmn_wireless"]
            assert meter.lmn_server_id(wired=True)[0] == 2

    @pytest.mark.parametrize("vector", VECTORS["bad_meter_ids"], ids=lambda vector: vector["why"])
    def test_refuses(self, vector: dict[str, str]) -> None:
        with pytest.raises(IdentifierError):
            MeterId.parse(vector["id"])

    def test_a_gateway_has_no_oms_address(self) -> None:
        with pytest.raises(IdentifierError, match="no OMS device type"):
            MeterId.parse("EPPC0212345678").oms()

    @pytest.mark.parametrize(
        "address",
        [
            "a815785634120099",
            "a81578563412003a",
            "a815aa5634120002",
            "0000785634120002",
            "a81578563412",
            "a81578563412000200",
        ],
    )
    def test_refuses_an_oms_address_that_names_no_meter(self, address: str) -> None:
        octets = bytes.fromhex(address)
        with pytest.raises(IdentifierError):
            MeterId.from_oms(octets[:2], octets[2:])

    @pytest.mark.parametrize(
        "server_id",
        [
            "",
            "0a01454d480000bc61",  # cut
            "0a01454d480000bc614e00",  # too long
            "0601454d480000bc614e",  # draft layout
            "01a815785634120002",  # OMS form
            "0a01656d680000bc614e",  # small letters
            "0a03454d480000bc614e",  # sector 3
            "0a21454d480000bc614e",  # no sector
            "0a01454d48003b9aca00",  # more than eight digits
        ],
    )
    def test_only_the_din_forms_of_a_server_id_map(self, server_id: str) -> None:
        assert meter_id_of(bytes.fromhex(server_id)) is None

    def test_the_older_type_byte_maps_too(self) -> None:
        assert str(meter_id_of(bytes.fromhex("0901454d480000bc614e"))) == "1EMH0012345678"

    @given(meter_ids)
    def test_every_meter_id_survives_text_and_server_id(self, meter: MeterId) -> None:
        assert MeterId.parse(str(meter)) == MeterId.parse(meter.display) == meter
        assert meter_id_of(meter.server_id()) == meter

    @given(st.binary(max_size=12))
    def test_any_octets_are_a_server_id_or_none(self, octets: bytes) -> None:
        meter = meter_id_of(octets)
        assert meter is None or meter.server_id()[1:] == octets[1:]


class TestServerId:
    def test_names_its_kind_and_its_meter(self) -> None:
        server = ServerId(bytes.fromhex("0a01454d480000bc614e"))
        assert (server.kind, str(server.meter_id), str(server)) == (
            "DIN 43863-5",
            "1EMH0012345678",
            "0A01454D480000BC614E",
        )

    @pytest.mark.parametrize("octets", ["", "0a", "0b01454d480000bc614e", "0a01454d480000bc61", "01a8157856341200"])
    def test_refuses_what_no_device_sends(self, octets: str) -> None:
        with pytest.raises(IdentifierError):
            ServerId(bytes.fromhex(octets))


class TestFlagNumbers:
    @pytest.mark.parametrize(("letters", "number"), VECTORS["flag_numbers"].items())
    def test_go_both_ways(self, letters: str, number: str) -> None:
        assert flag_number(letters) == int(number, 16)
        assert flag_letters(int(number, 16)) == letters

    @pytest.mark.parametrize("number", [-1, 0, 0x8000, 0xFFFF, 0x0421 - 1])
    def test_that_stand_for_no_letters_are_refused(self, number: int) -> None:
        with pytest.raises(IdentifierError):
            flag_letters(number)

    @pytest.mark.parametrize("letters", ["", "EM", "emh", "EMHH", "E1H"])
    def test_of_no_three_letters_are_refused(self, letters: str) -> None:
        with pytest.raises(IdentifierError):
            flag_number(letters)


class TestMarketIds:
    @pytest.mark.parametrize("vector", VECTORS["malo"]["valid"], ids=lambda vector: vector["id"])
    def test_malo_is_read(self, vector: dict[str, str]) -> None:
        malo = MaloId.parse(vector["id"])
        assert str(malo) == vector["id"]
        assert malo.issuer == ("DVGW" if vector["id"][0] in "123" else "BDEW")

    @pytest.mark.parametrize("vector", VECTORS["malo"]["invalid"], ids=lambda vector: vector["why"])
    def test_malo_is_refused(self, vector: dict[str, str]) -> None:
        with pytest.raises(IdentifierError):
            MaloId.parse(vector["id"])

    def test_a_wrong_check_digit_is_named_with_the_right_one(self) -> None:
        with pytest.raises(IdentifierError, match="check digit of MaLo-ID 41373559242 is wrong: 4137355924 takes 1"):
            MaloId.parse("41373559242")

    @pytest.mark.parametrize("vector", VECTORS["location"]["valid"], ids=lambda vector: vector["id"])
    def test_location_ids_are_read(self, vector: dict[str, str]) -> None:
        assert str(LOCATIONS[vector["kind"]].parse(vector["id"])) == vector["id"]

    @pytest.mark.parametrize("vector", VECTORS["location"]["invalid"], ids=lambda vector: vector["why"])
    def test_location_ids_are_refused(self, vector: dict[str, str]) -> None:
        with pytest.raises(IdentifierError):
            LOCATIONS[vector["kind"]].parse(vector["id"])

    @pytest.mark.parametrize("text", VECTORS["mp"]["valid"])
    def test_partner_is_read(self, text: str) -> None:
        assert MpId.parse(text).issuer == "BDEW"

    @pytest.mark.parametrize("text", VECTORS["mp"]["invalid"])
    def test_partner_is_refused(self, text: str) -> None:
        with pytest.raises(IdentifierError):
            MpId.parse(text)

    @pytest.mark.parametrize("text", VECTORS["melo"]["valid"])
    def test_melo_is_read_and_taken_apart(self, text: str) -> None:
        melo = MeloId.parse(f"{text[:2]} {text[2:8]} {text[8:13]} {text[13:]}")
        assert "".join(melo.parts) == str(melo) == text

    @pytest.mark.parametrize("vector", VECTORS["melo"]["invalid"], ids=lambda vector: vector["why"])
    def test_melo_is_refused(self, vector: dict[str, str]) -> None:
        with pytest.raises(IdentifierError):
            MeloId.parse(vector["id"])

    @pytest.mark.parametrize("kind", [MaloId, MeloId, NeloId, SrId, TrId, MpId, Eic, MeterId, DevEUI])
    @given(text=st.text(max_size=50))
    def test_any_text_is_read_or_refused(self, kind: type[MarketId], text: str) -> None:
        try:
            assert kind.parse(str(kind.parse(text))) == kind.parse(text)
        except IdentifierError:
            pass

    @given(st.from_regex("[1-9][0-9]{9}", fullmatch=True), st.integers(0, 9), st.integers(0, 9))
    def test_one_wrong_digit_never_passes(self, body: str, place: int, digit: int) -> None:
        right = next(body + check for check in "0123456789" if _is(body + check))
        wrong = right[:place] + str(digit) + right[place + 1 :]
        # Twice a digit is counted without its carry, so in even places 5 apart looks the same.
        assert wrong == right or not _is(wrong) or (place % 2 == 1 and abs(int(right[place]) - digit) == 5)


class TestEic:
    @pytest.mark.parametrize("text", VECTORS["eic"]["valid"])
    def test_is_read(self, text: str) -> None:
        eic = Eic.parse(text)
        assert (str(eic), eic.office, eic.object_type) == (text, "10", "area")

    @pytest.mark.parametrize(
        "text", [*VECTORS["eic"]["invalid"], "10YDE-VE--------", "10yde-ve-------2", "10YDE-VE-------"]
    )
    def test_is_refused(self, text: str) -> None:
        with pytest.raises(IdentifierError):
            Eic.parse(text)


@pytest.mark.skipif(not SHARED.exists(), reason="the shared identifier collection is not beside this checkout")
def test_the_vectors_here_are_those_of_the_shared_collection() -> None:
    shared = json.loads(SHARED.read_text(encoding="utf-8"))
    assert VECTORS["meter_ids"] == shared["din_43863_5"]["valid"]
    assert VECTORS["eic"]["valid"] == shared["eic"]["valid"]
    assert load("values_telegrams")["telegrams"][0]["bytes"] == shared["telegram_vectors"]["ct_v"]["tag4_values_only"]


def _is(text: str) -> bool:
    try:
        MaloId.parse(text)
    except IdentifierError:
        return False
    return True
