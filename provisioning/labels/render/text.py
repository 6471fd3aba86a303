"""What a person reads: on the label itself, and as plain text."""

from provisioning.labels.services import PrintLabel

MAX_SERIAL = 14  # characters that fit beside the code of every format


def grouped(dev_eui: str) -> str:
    """A DevEUI as printed: `70B3 D57E D006 1000`."""
    return " ".join(dev_eui.upper()[at : at + 4] for at in range(0, len(dev_eui), 4))


def lines(label: PrintLabel) -> list[str]:
    """Beside the code; the owner token is in the code only. A long serial number is shortened in the middle."""
    serial = label.serial
    if len(serial) > MAX_SERIAL:
        serial = f"{serial[: MAX_SERIAL // 2 - 1]}…{serial[-(MAX_SERIAL // 2) :]}"
    return ["Meterspan", *([serial] if serial else []), grouped(label.dev_eui)]


def label_text(label: PrintLabel) -> str:
    """Serial number, DevEUI, and the code's whole text, which can be typed or pasted instead of scanned."""
    serial = f"Serial  {label.serial}\n" if label.serial else ""
    return f"{serial}DevEUI  {grouped(label.dev_eui)}\n{label.text}\n"
