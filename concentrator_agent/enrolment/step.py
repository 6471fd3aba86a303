"""One step towards a certificate in force: looks at what is due, asks the portal once, stores what came.

`keeper` runs it in a process of its own: reads one Question from standard input, writes one Answer to standard output.
"""

import ssl
import sys
import time
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from concentrator_agent.enrolment import chain, request
from concentrator_agent.enrolment.due import Due, what_is_due
from concentrator_agent.enrolment.est import CredentialRefused, Est, EstError, NotYet, RequestRefused, Unavailable
from concentrator_agent.enrolment.password import digest, fresh
from concentrator_agent.enrolment.question import Answer, Question, decode_question, encode_answer
from concentrator_agent.enrolment.wallet import Held, Wallet, WalletFile
from edge import tls
from edge.sealedfile import SealedFileError, load_credential
from meterwire.curves import Curve
from meterwire.errors import MeterspanError


class NoCredential(MeterspanError):
    """There is nothing to authenticate a first enrolment with, or what there is was refused before."""

    code = "no_credential"


def step(question: Question) -> Answer:
    """Raises SealedFileError when credential or wallet cannot be used; everything else is in the answer."""
    file = WalletFile(Path(question.state_dir), load_credential(Path(question.credential_file)))
    before = file.read()
    try:
        password = fresh(Path(question.password_file) if question.password_file else None, before)
    except SealedFileError as error:
        return Answer("failed", None, error.code, str(error))
    anew = question.anew or bool(password)
    now = time.time() if question.now is None else question.now
    due = what_is_due(before, now, dates_known=question.dates_known, anew=anew)
    if due is Due.NOTHING:
        return Answer("held")
    wallet = file.change(lambda wallet: _prepared(wallet, question))
    assert wallet.next is not None
    try:
        held, authorities = _issued(wallet, wallet.next, due, question, password)
    except NotYet as error:
        return Answer("pending", error.wait_s, error.code, str(error))
    except EstError as error:
        refusal = error  # the name ends with this block
        file.change(lambda wallet: _after_refusal(wallet, refusal, password))
        return Answer("failed", error.wait_s, error.code, _with_way_out(error, due))
    except (MeterspanError, OSError, ssl.SSLError) as error:
        return Answer("failed", None, getattr(error, "code", "tls"), str(error))
    file.change(lambda wallet: _stored(wallet, held, authorities, password, at_once=due is Due.FIRST))
    return Answer("issued")


def _prepared(wallet: Wallet, question: Question) -> Wallet:
    """With a request to send: the one under way, or a new one for a new key."""
    if wallet.next is not None and not wallet.next.issued:
        return wallet
    return msgspec.structs.replace(wallet, next=request.new(question.eui, Curve(question.curve)))


def _issued(
    wallet: Wallet, asking: Held, due: Due, question: Question, password: str
) -> tuple[Held, tuple[x509.Certificate, ...]]:
    context = _context(wallet, question)
    if due is Due.RENEWAL:
        assert wallet.current is not None
        tls.show_identity(context, wallet.current.chain, wallet.current.key)
    else:
        password = _first_credential(context, question, password)
    server = Est(question.est_url, context, question.eui, password)
    authorities = tuple(server.cacerts())
    if question.ca_fingerprint and not wallet.authorities:
        _with_fingerprint(authorities, question.ca_fingerprint)
    came = server.enrol(asking.request, again=due is Due.RENEWAL)
    found = chain.own_first(asking, question.eui, came, authorities)
    own = found[0]
    held = msgspec.structs.replace(
        asking,
        chain=tuple(one.public_bytes(Encoding.DER) for one in found),
        not_before=own.not_valid_before_utc.timestamp(),
        not_after=own.not_valid_after_utc.timestamp(),
    )
    return held, authorities


def _context(wallet: Wallet, question: Question) -> ssl.SSLContext:
    """What vouches for the portal: the CA file, the pinned authority, or the system's authorities."""
    if question.ca_file or not question.ca_fingerprint:
        ca_file = Path(question.ca_file) if question.ca_file else None
        return tls.client_context(ca_file, check_dates=question.dates_known, now=question.now)
    authorities = wallet.authorities or (_pinned(question),)
    return tls.client_context(authorities=authorities, check_dates=question.dates_known, now=question.now)


def _pinned(question: Question) -> bytes:
    """The authority with the pinned fingerprint, from a server that nothing vouches for yet (RFC 7030, 4.1.1)."""
    blind = ssl.create_default_context()
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    return _with_fingerprint(Est(question.est_url, blind).cacerts(), question.ca_fingerprint)


def _with_fingerprint(authorities: Iterable[x509.Certificate], wanted: str) -> bytes:
    for one in authorities:
        der = one.public_bytes(Encoding.DER)
        if sha256(der).hexdigest() == wanted:
            return der
    raise Unavailable("the portal has no authority with the fingerprint in 'ca_fingerprint': compare it once more")


def _first_credential(context: ssl.SSLContext, question: Question, password: str) -> str:
    """The one-time password; "" when the manufacturer's certificate is shown instead. Raises NoCredential."""
    if not password and question.cert_file:
        context.load_cert_chain(question.cert_file, question.key_file)
    elif not password:
        raise NoCredential(
            "there is no one-time password that was not used or refused before, and no manufacturer's certificate:"
            f" make a password in the portal and put it into {question.password_file or 'a file (password_file)'}"
        )
    return password


def _with_way_out(error: EstError, due: Due) -> str:
    if due is not Due.RENEWAL or not isinstance(error, CredentialRefused | RequestRefused):
        return str(error)
    way_out = "where the certificate is over or revoked, a new one-time password in 'password_file' starts anew"
    return f"{str(error).rstrip('.')}; {way_out}"


def _after_refusal(wallet: Wallet, error: EstError, password: str) -> Wallet:
    """A refused request is not sent again, and neither is a refused password."""
    if isinstance(error, RequestRefused) and wallet.next is not None and not wallet.next.issued:
        wallet = msgspec.structs.replace(wallet, next=None)
    if isinstance(error, CredentialRefused) and password:
        wallet = msgspec.structs.replace(wallet, spent_password=digest(password))
    return wallet


def _stored(
    wallet: Wallet, held: Held, authorities: tuple[x509.Certificate, ...], password: str, *, at_once: bool
) -> Wallet:
    if wallet.next is None or wallet.next.key != held.key:
        return wallet  # another process was quicker
    ders = tuple(one.public_bytes(Encoding.DER) for one in authorities)
    wallet = msgspec.structs.replace(wallet, authorities=ders)
    if password:
        wallet = msgspec.structs.replace(wallet, spent_password=digest(password))
    if at_once and wallet.current is not None:
        wallet = msgspec.structs.replace(wallet, current=None, previous=wallet.current)
    return wallet.issued(held.chain, held.not_before, held.not_after)


def main() -> int:
    try:
        answer = step(decode_question(sys.stdin.buffer.read()))
    except SealedFileError as error:
        print(error, file=sys.stderr)
        return 1
    sys.stdout.buffer.write(encode_answer(answer))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
