"""Distinguished encoding rules (X.690), as much as a CMS message needs to be written."""


def sequence(*parts: bytes) -> bytes:
    return _tagged(0x30, b"".join(parts))


def sets(*parts: bytes) -> bytes:
    """SET OF, its parts in the order that DER demands."""
    return _tagged(0x31, b"".join(sorted(parts)))


def integer(value: int) -> bytes:
    """A number from 0 on."""
    return _tagged(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def octets(content: bytes) -> bytes:
    return _tagged(0x04, content)


def bits(content: bytes) -> bytes:
    """A bit string of whole bytes."""
    return _tagged(0x03, b"\0" + content)


def oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    return _tagged(0x06, b"".join(map(_base128, (40 * first + second, *rest))))


def explicit(number: int, content: bytes) -> bytes:
    """A context-specific tag around a whole element."""
    return _tagged(0xA0 | number, content)


def implicit(number: int, content: bytes, *, constructed: bool = False) -> bytes:
    """A context-specific tag instead of the element's own; `content` is the bare content."""
    return _tagged((0xA0 if constructed else 0x80) | number, content)


def _base128(number: int) -> bytes:
    septets = [number & 0x7F]
    while number := number >> 7:
        septets.append(number & 0x7F | 0x80)
    return bytes(reversed(septets))


def _tagged(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(size)]) + size + content
