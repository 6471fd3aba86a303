"""TLS contexts for a client whose private key is in memory only: OpenSSL reads it from a file without a name."""

import base64
import os
import ssl
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

NO_CHECK_TIME: Final = ssl.VerifyFlags(0x200000)  # X509_V_FLAG_NO_CHECK_TIME, which the ssl module does not name
MAX_APART_S: Final = 60.0

_BRAINPOOL: Final = bytes.fromhex("06092b2403030208010107")  # the curve's identifier (RFC 5639) in a PKCS #8 key


def client_context(
    ca_file: Path | None = None,
    authorities: Sequence[bytes] = (),
    *,
    check_dates: bool = True,
    now: float | None = None,
) -> ssl.SSLContext:
    """TLS 1.2 or newer, the server's name and chain checked against `ca_file`, `authorities` (DER) or the system's.

    Without `check_dates` a certificate may be out of date: for a machine that does not know the time yet. The same
    holds where its clock, by which OpenSSL judges, is over MAX_APART_S from `now`, the Unix time by a better one.
    Raises OSError or ssl.SSLError for authorities of no use.
    """
    context = ssl.create_default_context(
        cafile=ca_file, cadata="".join(ssl.DER_cert_to_PEM_cert(one) for one in authorities) or None
    )
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not check_dates or (now is not None and abs(now - time.time()) > MAX_APART_S):
        context.verify_flags |= NO_CHECK_TIME
    return context


def show_identity(context: ssl.SSLContext, chain: Sequence[bytes], key: bytes) -> None:
    """Let the client show `chain` (DER, its own certificate first) with the PKCS #8 `key`, which touches no disk.

    With a key on brainpoolP256r1 it speaks TLS 1.2, since OpenSSL has no signature with it for TLS 1.3.
    Raises ssl.SSLError when chain and key do not belong together.
    """
    if _BRAINPOOL in key:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    body = "".join(ssl.DER_cert_to_PEM_cert(one) for one in chain) + _pem(key)
    descriptor = os.memfd_create("identity", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, body.encode("ascii"))
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.ftruncate(descriptor, 0)
        os.close(descriptor)


def _pem(key: bytes) -> str:
    body = base64.encodebytes(key).decode("ascii")
    return f"-----BEGIN PRIVATE KEY-----\n{body}-----END PRIVATE KEY-----\n"
