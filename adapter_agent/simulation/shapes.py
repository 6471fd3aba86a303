"""How several makers lay out their push telegram, as data: field order, number widths, time forms and quirks.

Each shape follows what meters of that make send (seen in public captures, see the reference on meters); the numbers
in it are ours.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from adapter_agent.simulation.sml_encoder import Checksum

WH, W, V, A, HZ, DEGREE = 30, 27, 35, 33, 44, 8  # DLMS unit codes

TimeForm = Literal["absent", "choice", "bare"]
NumberForm = Literal["unsigned", "signed", "unsigned-as-signed"]
LockedForm = Literal["same", "kilo", "hidden"]


@dataclass(frozen=True, slots=True)
class Row:
    """One list entry. `quantity` names what `Measurement.numbers` (thousandths of the unit) or `texts` offers.

    `width` octets of the number (0: as few as hold it); `status` octets of the status word (0: none). `locked` is
    what becomes of the row while no PIN has been entered: the same, whole thousands, or left out.
    """

    obis: bytes
    quantity: str
    unit: int | None = None
    scaler: int | None = None
    form: NumberForm = "unsigned"
    width: int = 0
    status: int = 0
    time: TimeForm = "absent"
    locked: LockedForm = "same"


@dataclass(frozen=True, slots=True)
class Status:
    """The status word while drawing and while feeding in (FNN: bit 11 tells the direction)."""

    drawing: int
    feeding: int


@dataclass(frozen=True, slots=True)
class Shape:
    """A make of meter. Widths in octets; `period_s` between telegrams; `server_id_type` as in SML (0A, 09, 06)."""

    name: str
    maker: str
    rows: tuple[Row, ...]
    status: Status
    period_s: float = 1.0
    server_id_type: int = 0x0A
    checksum: Checksum = Checksum.X25
    kind_width: int = 2
    shortened_checksum: bool = False
    transaction_width: int = 4
    transaction_rises: bool = True
    file_id_width: int = 4
    client_id: bytes | None = None
    list_name: bytes | None = bytes.fromhex("0100620affff")
    sensor_time: TimeForm = "choice"
    open_time: bool = False
    sml_version: int | None = None
    void_time: bool = False  # a time stamp of zero also where there is nothing to date
    firmware: bytes = b""


def _obis(text: str) -> bytes:
    return bytes.fromhex(text)


_MAKER_OLD = Row(_obis("8181c78203ff"), "maker")
_MAKER = Row(_obis("010060320101"), "maker")
_ID_OLD = Row(_obis("0100000009ff"), "server_id")
_ID = Row(_obis("0100600100ff"), "server_id")
_KEY = Row(_obis("8181c78205ff"), "public_key")
_IMPORT, _IMPORT_1, _IMPORT_2 = _obis("0100010800ff"), _obis("0100010801ff"), _obis("0100010802ff")
_EXPORT = _obis("0100020800ff")
_POWER, _POWER_ABSOLUTE = _obis("0100100700ff"), _obis("01000f0700ff")


def _phases(first: int, quantity: str, unit: int, scaler: int, form: NumberForm = "unsigned") -> tuple[Row, ...]:
    """Rows for L1 to L3: their C value rises by 20 from phase to phase."""
    return tuple(
        Row(
            bytes((1, 0, first + 20 * phase, 7, 0, 255)),
            f"{quantity}_l{phase + 1}",
            unit,
            scaler,
            form,
            locked="hidden",
        )
        for phase in range(3)
    )


def _angles() -> tuple[Row, ...]:
    names = {1: "angle_u2", 2: "angle_u3", 4: "angle_i1", 15: "angle_i2", 26: "angle_i3"}
    return tuple(
        Row(bytes((1, 0, 81, 7, index, 255)), name, DEGREE, 0, locked="hidden") for index, name in names.items()
    )


def _periods(c: int, quantity: str) -> tuple[Row, ...]:
    """The last day, week, month and year, and since reset: F 96 to 100, which no reader may take for the total."""
    spans = ("day", "week", "month", "year", "ever")
    return tuple(
        Row(bytes((1, 0, c, 8, 0, 96 + n)), f"{quantity}_{span}", WH, 2, locked="hidden")
        for n, span in enumerate(spans)
    )


EMH_EHZ: Final = Shape(
    name="emh-ehz",
    maker="EMH",
    server_id_type=0x06,
    rows=(
        _MAKER_OLD,
        _ID_OLD,
        Row(_IMPORT, "import", WH, -1, "signed", 5, status=2, locked="kilo"),
        Row(_IMPORT_1, "import_1", WH, -1, "signed", 5, locked="kilo"),
        Row(_IMPORT_2, "import_2", WH, -1, "signed", 5, locked="kilo"),
        Row(_POWER_ABSOLUTE, "power_absolute", W, -1, "signed", 4, locked="hidden"),
        _KEY,
    ),
    status=Status(0x0182, 0x01A2),
    period_s=2.0,
    transaction_width=6,
    file_id_width=6,
    list_name=None,
)

EMH_MME: Final = Shape(
    name="emh-mme40",
    maker="EMH",
    rows=(
        _MAKER,
        _ID,
        Row(_IMPORT, "import", WH, -1, "unsigned", 8, status=3, time="choice", locked="kilo"),
        *_phases(36, "power", W, 0, "signed"),
        Row(_POWER, "power", W, 0, "signed", 4, time="choice", locked="hidden"),
    ),
    status=Status(0x1C0104, 0x1C0904),
    client_id=b"\xff" * 6,
    open_time=True,
    sml_version=1,
)

ISKRA_MT691: Final = Shape(
    name="iskra-mt691",
    maker="ISK",
    rows=(
        _MAKER,
        _ID,
        Row(_IMPORT, "import", WH, -1, "unsigned", 4, status=4, locked="kilo"),
        Row(_POWER, "power", W, 0, "signed", locked="hidden"),
    ),
    status=Status(0x1C8104, 0x1C8904),
    period_s=2.0,
    shortened_checksum=True,
    open_time=True,
    sml_version=1,
)

ISKRA_MT631: Final = Shape(
    name="iskra-mt631",
    maker="ISK",
    rows=(
        _MAKER,
        _ID,
        Row(_IMPORT, "import", WH, -1, "unsigned", 4, status=4, locked="kilo"),
        Row(_EXPORT, "export", WH, -1, "unsigned", 0, locked="kilo"),
        Row(_POWER, "power", W, 0, "signed", locked="hidden"),
    ),
    status=Status(0x100104, 0x100904),
    period_s=2.0,
    shortened_checksum=True,
    open_time=True,
    sml_version=1,
)

DZG_DVS74: Final = Shape(
    name="dzg-dvs74",
    maker="DZG",
    rows=(
        Row(_MAKER.obis, "maker", 0, 0, time="choice"),
        Row(_ID.obis, "server_id", 0, 0, time="choice"),
        Row(_IMPORT, "import", WH, -1, "signed", status=3, time="choice", locked="kilo"),
        Row(_EXPORT, "export", WH, -1, "signed", time="choice", locked="kilo"),
        Row(_POWER, "power", W, -2, "unsigned-as-signed", time="choice", locked="hidden"),
    ),
    status=Status(0x1C0104, 0x1C0904),
    file_id_width=1,
    sml_version=2,
    void_time=True,
)

HOLLEY_DTZ541: Final = Shape(
    name="holley-dtz541",
    maker="HLY",
    rows=(
        _MAKER,
        _ID,
        Row(_IMPORT, "import", WH, -1, "unsigned", status=4, time="bare", locked="kilo"),
        Row(_EXPORT, "export", WH, -1, "unsigned", status=4, time="bare", locked="kilo"),
        Row(_POWER, "power", W, 0, "signed", locked="hidden"),
        *_phases(32, "voltage", V, -1),
        *_phases(31, "current", A, -2),
        *_angles(),
        Row(_obis("01000e0700ff"), "frequency", HZ, -1, locked="hidden"),
        *_periods(1, "import"),
        *_periods(2, "export"),
        Row(_obis("010000020000"), "firmware", locked="hidden"),
        Row(_obis("0100605a0201"), "firmware_check", locked="hidden"),
        Row(_obis("0100600500ff"), "status", form="unsigned", width=4, locked="hidden"),
    ),
    status=Status(0x1C0104, 0x1C0904),
    period_s=1.0,
    checksum=Checksum.KERMIT,
    kind_width=4,
    transaction_width=3,
    transaction_rises=False,
    file_id_width=6,
    list_name=None,
    sensor_time="bare",
    firmware=b"1.02.007",
)

EBZ_DD3: Final = Shape(
    name="ebz-dd3",
    maker="EBZ",
    server_id_type=0x09,
    rows=(
        _MAKER_OLD,
        _ID_OLD,
        Row(_IMPORT, "import", WH, -4, "unsigned", 8, status=3, locked="kilo"),
        Row(_IMPORT_1, "import_1", WH, -4, "unsigned", 8, locked="kilo"),
        Row(_IMPORT_2, "import_2", WH, -4, "unsigned", 8, locked="kilo"),
        Row(_POWER, "power", W, -2, "signed", 4, locked="hidden"),
        *_phases(36, "power", W, -2, "signed"),
    ),
    status=Status(0x010180, 0x0101A0),
    kind_width=4,
    file_id_width=6,
    list_name=None,
)

ITRON_3HZ: Final = Shape(
    name="itron-3hz",
    maker="ITR",
    rows=(
        _MAKER,
        _ID,
        Row(_IMPORT, "import", WH, -1, "unsigned", 8, status=4, locked="kilo"),
        Row(_POWER, "power", W, 0, "signed", 4, locked="hidden"),
    ),
    status=Status(0x1C0104, 0x1C0904),
    period_s=4.0,
    kind_width=4,
    transaction_width=8,
    file_id_width=8,
    open_time=True,
)

SHAPES: Final = MappingProxyType(
    {
        shape.name: shape
        for shape in (
            EMH_EHZ,
            EMH_MME,
            ISKRA_MT691,
            ISKRA_MT631,
            DZG_DVS74,
            HOLLEY_DTZ541,
            EBZ_DD3,
            ITRON_3HZ,
        )
    }
)
