"""Checks a proof of a signed day with a hash function and openssl: python3 verify_signed_day.py PROOF.json

Needs Python 3.9 and openssl, and nothing of Meterspan. Exit code 0: every telegram shown is covered by the signature.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def tree_root(hashes: list[bytes]) -> bytes:
    """RFC 6962, section 2.1."""
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return hashlib.sha256(b"\x01" + tree_root(hashes[:split]) + tree_root(hashes[split:])).digest()


def der(signature: bytes) -> bytes:
    """ECDSA-Sig-Value of RFC 3279 out of r and s."""
    body = b""
    for part in (signature[:32], signature[32:]):
        number = part.lstrip(b"\x00") or b"\x00"
        number = b"\x00" + number if number[0] & 0x80 else number
        body += b"\x02" + bytes([len(number)]) + number
    return b"\x30" + bytes([len(body)]) + body


def check(proof: dict[str, Any]) -> str:
    """An error text; empty when the proof holds."""
    dev_eui, telegrams = bytes.fromhex(proof["dev_eui"]), proof["telegrams"]
    counters = [entry["counter"] for entry in telegrams]
    if counters != sorted(set(counters)) or len(counters) != proof["leaves"]:
        return "the telegrams are not in order, or not as many as were signed"
    for entry in telegrams:
        if "payload" in entry:
            content = dev_eui + entry["counter"].to_bytes(4, "big") + bytes([entry["port"]])
            content += bytes.fromhex(entry["payload"])
            if hashlib.sha256(b"\x00" + content).hexdigest() != entry["leaf"]:
                return f"telegram {entry['counter']} is not the one that was signed"
    message = proof["label"].encode() + dev_eui
    for value, size in ((proof["day"], 2), (len(counters), 2), (counters[0], 4), (counters[-1], 4)):
        message += value.to_bytes(size, "big")
    message += tree_root([bytes.fromhex(entry["leaf"]) for entry in telegrams])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "key.pem").write_text(proof["public_key_pem"])
        (folder / "message").write_bytes(message)
        (folder / "signature").write_bytes(der(bytes.fromhex(proof["signature"])))
        command = ["openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "signature", "message"]
        ended = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    return "" if ended.returncode == 0 else "the signature does not fit"


def main() -> int:
    proof = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    error = check(proof)
    shown = sum("payload" in entry for entry in proof["telegrams"])
    print(error or f"{proof['date']} of {proof['dev_eui']}: {proof['leaves']} telegrams signed, {shown} of them shown")
    return 1 if error else 0


if __name__ == "__main__":
    sys.exit(main())
