"""One question to the portal: what is stored, what is sent again, what is never sent twice."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key

from concentrator_agent.enrolment.question import Question
from concentrator_agent.enrolment.step import step
from concentrator_agent.enrolment.wallet import Held, WalletFile
from tests.concentrator_agent.enrolment.conftest import EUI, new_password
from tests.concentrator_agent.enrolment.est_server import EstServer, est_server
from tests.support.certificates import HOUR, Authority, pem_of

Asking = Callable[..., Question]


def public(held: Held) -> ec.EllipticCurvePublicNumbers:
    key = load_der_private_key(held.key, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key.public_key().public_numbers()


def certified(held: Held) -> ec.EllipticCurvePublicNumbers:
    key = x509.load_der_x509_certificate(held.chain[0]).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key.public_numbers()


def current(wallet: WalletFile) -> Held:
    held = wallet.read().current
    assert held is not None
    return held


@pytest.mark.parametrize("curve, name", [("p-256", "secp256r1"), ("brainpoolP256r1", "brainpoolP256r1")])
def test_the_first_certificate_comes_for_the_password_and_a_key_that_never_left(
    est: EstServer, asking: Asking, wallet: WalletFile, curve: str, name: str
) -> None:
    assert step(asking(curve=curve)).state == "issued"
    held = current(wallet)
    assert public(held) == certified(held)
    assert load_der_private_key(held.key, None).curve.name == name  # type: ignore[union-attr]
    assert wallet.read().authorities == (est.authority.der,)
    (asked,) = est.asked
    assert asked.operation == "simpleenroll"
    names = x509.load_der_x509_csr(asked.request).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.UniformResourceIdentifier) == [f"urn:dev:mac:{EUI}"]
    assert step(asking()).state == "held"
    assert len(est.asked) == 1


def test_nothing_on_disk_shows_key_or_certificate(
    est: EstServer, asking: Asking, wallet: WalletFile, tmp_path: Path
) -> None:
    step(asking())
    held = current(wallet)
    secret = load_der_private_key(held.key, None).private_numbers().private_value.to_bytes(32)  # type: ignore[union-attr]
    for file in (tmp_path / "state").rglob("*"):
        assert file.stat().st_mode & 0o077 == 0
        assert secret not in file.read_bytes()
        assert held.key not in file.read_bytes()
    assert held.key.hex() not in repr(wallet.read())


def test_a_pinned_fingerprint_is_enough_to_know_the_portal(
    est: EstServer, asking: Asking, wallet: WalletFile, tmp_path: Path
) -> None:
    pinned = sha256(est.authority.der).hexdigest()
    assert step(asking(ca_file="", ca_fingerprint=pinned)).state == "issued"
    new_password(est, tmp_path)
    assert step(asking(ca_file="", ca_fingerprint=pinned)).state == "issued"


def test_another_fingerprint_ends_it_before_the_password_is_sent(est: EstServer, asking: Asking) -> None:
    answer = step(asking(ca_file="", ca_fingerprint="00" * 32))
    assert (answer.state, answer.code) == ("failed", "unavailable")
    assert "ca_fingerprint" in answer.message
    assert est.asked == []


def test_a_portal_that_nobody_vouches_for_gets_no_password(est: EstServer, asking: Asking, tmp_path: Path) -> None:
    (tmp_path / "other.pem").write_bytes(Authority("Another").pem)
    answer = step(asking(ca_file=str(tmp_path / "other.pem")))
    assert (answer.state, answer.code) == ("failed", "unavailable")
    assert "ca_file" in answer.message
    assert est.asked == []


def test_a_portal_under_another_name_gets_no_password(est: EstServer, asking: Asking, tmp_path: Path) -> None:
    foreign = est.authority.write_server(tmp_path, "elsewhere.example")
    with est_server(tmp_path, est.authority, foreign) as elsewhere:
        answer = step(asking(est_url=elsewhere.url))
        assert "est_url" in answer.message
        assert elsewhere.asked == []


def test_a_refused_password_is_not_sent_again_but_a_new_one_is(
    est: EstServer, asking: Asking, wallet: WalletFile, tmp_path: Path
) -> None:
    est.password = "another"
    refused = step(asking())
    assert (refused.state, refused.code) == ("failed", "credential_refused")
    assert "The password is wrong." in refused.message
    again = step(asking())
    assert (again.code, len(est.asked)) == ("no_credential", 1)
    assert str(tmp_path / "password") in again.message
    (tmp_path / "password").write_text("another")
    assert step(asking()).state == "issued"


@pytest.mark.parametrize("file", ["absent", "empty", "not configured"])
def test_without_password_and_certificate_nothing_is_asked(
    est: EstServer, asking: Asking, tmp_path: Path, file: str
) -> None:
    (tmp_path / "password").write_text("")
    names = {"absent": str(tmp_path / "nowhere"), "empty": str(tmp_path / "password"), "not configured": ""}
    answer = step(asking(password_file=names[file]))
    assert (answer.state, answer.code) == ("failed", "no_credential")
    assert est.asked == []


def test_a_password_that_others_can_read_is_not_used(est: EstServer, asking: Asking, tmp_path: Path) -> None:
    (tmp_path / "password").chmod(0o644)
    answer = step(asking())
    assert "chmod 600" in answer.message
    assert est.asked == []


def test_while_approval_is_pending_the_same_request_is_sent_and_the_wait_is_honoured(
    est: EstServer, asking: Asking
) -> None:
    est.answers = [(202, {"Retry-After": "120"}, b""), (202, {}, b"")]
    first, second = step(asking()), step(asking())
    assert (first.state, first.wait_s, second.wait_s) == ("pending", 120.0, None)
    assert step(asking()).state == "issued"
    assert len({asked.request for asked in est.asked}) == 1


def test_an_answer_that_was_lost_is_fetched_with_the_same_request(
    est: EstServer, asking: Asking, wallet: WalletFile
) -> None:
    est.lose_answers = 1
    lost = step(asking())
    assert (lost.state, lost.code) == ("failed", "unavailable")
    assert step(asking()).state == "issued"
    assert est.asked[0].request == est.asked[1].request
    assert public(current(wallet)) == certified(current(wallet))


def test_after_a_refused_request_the_next_one_is_for_a_new_key(est: EstServer, asking: Asking) -> None:
    est.answers = [(403, {"Content-Type": "text/plain"}, b"Not today.\x07\n")]
    refused = step(asking())
    assert (refused.code, refused.message.endswith(": Not today.")) == ("request_refused", True)
    assert step(asking()).state == "issued"
    assert est.asked[0].request != est.asked[1].request


@pytest.mark.parametrize(
    "status, headers, code, wait_s",
    [
        (429, {"Retry-After": "30"}, "unavailable", 30.0),
        (503, {"Retry-After": "1"}, "unavailable", 5.0),
        (500, {}, "unavailable", None),
        (404, {}, "unavailable", None),
        (200, {}, "unavailable", None),
    ],
)
def test_a_portal_that_cannot_answer_is_asked_again_later(
    est: EstServer, asking: Asking, status: int, headers: dict[str, str], code: str, wait_s: float | None
) -> None:
    est.answers = [(status, headers, b"nonsense")]
    answer = step(asking())
    assert (answer.state, answer.code, answer.wait_s) == ("failed", code, wait_s)
    assert step(asking()).state == "issued"


def test_an_envelope_of_another_kind_is_no_list_of_certificates(est: EstServer, asking: Asking) -> None:
    data = bytes.fromhex("300b06092a864886f70d010703")  # PKCS #7 as well, but not signed data
    est.answers = [(200, {}, base64.encodebytes(data))]
    answer = step(asking())
    assert (answer.code, "no list of certificates" in answer.message) == ("unavailable", True)


def test_an_endless_answer_is_cut_off(est: EstServer, asking: Asking) -> None:
    est.answers = [(200, {}, b"A" * 200_000)]
    assert "more than" in step(asking()).message


def test_nobody_at_the_address_is_a_failure_that_says_so(asking: Asking) -> None:
    answer = step(asking(est_url="https://localhost:1/.well-known/est"))
    assert (answer.code, "does not answer" in answer.message) == ("unavailable", True)


def near_the_end(wallet: WalletFile) -> Held:
    """The certificate in force is due for renewal from now on."""
    held = current(wallet)
    old = msgspec.structs.replace(held, not_before=held.not_before - 1e8, not_after=held.not_before + 1e7)
    wallet.change(lambda w: msgspec.structs.replace(w, current=old))
    return old


def test_it_is_renewed_with_a_new_key_and_the_old_one_stays_until_the_broker_took_the_new(
    est: EstServer, asking: Asking, wallet: WalletFile
) -> None:
    step(asking())
    old = near_the_end(wallet)
    assert step(asking()).state == "issued"
    renewed = est.asked[-1]
    assert (renewed.operation, renewed.shown) == ("simplereenroll", old.chain[0])
    assert renewed.authorization == ""
    after = wallet.read()
    assert after.current == old
    assert after.next is not None
    assert public(after.next) == certified(after.next) != public(old)
    assert step(asking()).state == "held"
    wallet.change(lambda w: w.promoted())
    assert (wallet.read().current, wallet.read().previous, wallet.read().next) == (after.next, old, None)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_renewal_names_the_way_out_and_a_new_password_is_it(
    est: EstServer, asking: Asking, wallet: WalletFile, tmp_path: Path, status: int
) -> None:
    step(asking())
    near_the_end(wallet)
    est.answers = [(status, {"Content-Type": "text/plain"}, b"It is revoked.")]
    refused = step(asking())
    assert refused.state == "failed"
    assert "It is revoked; where" in refused.message
    assert "one-time password" in refused.message
    new_password(est, tmp_path)
    assert step(asking()).state == "issued"
    assert est.asked[-1].operation == "simpleenroll"


def test_one_that_is_over_is_replaced_as_at_first_and_the_old_key_still_opens(
    est: EstServer, asking: Asking, wallet: WalletFile, tmp_path: Path
) -> None:
    step(asking())
    held = current(wallet)
    over = msgspec.structs.replace(held, not_before=0.0, not_after=1.0)
    wallet.change(lambda w: msgspec.structs.replace(w, current=over))
    assert step(asking()).code == "no_credential"
    new_password(est, tmp_path)
    assert step(asking()).state == "issued"
    assert est.asked[-1].operation == "simpleenroll"
    assert wallet.read().previous == over


def test_a_new_password_is_the_order_to_enrol_anew_and_one_that_served_is_not(
    est: EstServer, asking: Asking, wallet: WalletFile, tmp_path: Path
) -> None:
    step(asking())
    first = current(wallet)
    assert step(asking()).state == "held"
    assert step(asking(anew=True)).code == "no_credential"
    new_password(est, tmp_path)
    assert step(asking()).state == "issued"
    assert est.asked[-1].operation == "simpleenroll"
    assert (wallet.read().previous, current(wallet) == first) == (first, False)
    assert step(asking()).state == "held"


def test_a_wrong_new_password_leaves_the_certificate_in_force(
    est: EstServer, asking: Asking, wallet: WalletFile, tmp_path: Path
) -> None:
    step(asking())
    first = current(wallet)
    (tmp_path / "password").write_text("mistyped")
    assert step(asking()).code == "credential_refused"
    assert current(wallet) == first
    assert step(asking()).state == "held"
    assert len(est.asked) == 2


def test_a_server_certificate_out_of_date_counts_only_once_the_time_is_known(tmp_path: Path, asking: Asking) -> None:
    authority = Authority()
    key = ec.generate_private_key(ec.SECP256R1())
    begins = datetime.now(UTC) - 3 * HOUR
    old = authority.issue("localhost", key.public_key(), server=True, begins=begins, life=HOUR)
    files = tmp_path / "old.pem", tmp_path / "old.key"
    files[0].write_bytes(old.public_bytes(Encoding.PEM))
    files[1].write_bytes(pem_of(key))
    (tmp_path / "old-ca.pem").write_bytes(authority.pem)
    with est_server(tmp_path, authority, files) as est:
        question = asking(est_url=est.url, ca_file=str(tmp_path / "old-ca.pem"))
        assert "expired" in step(question).message
        tomorrow = datetime.now(UTC).timestamp() + 86_400
        assert "expired" in step(msgspec.structs.replace(question, now=tomorrow - 86_400)).message
        assert step(msgspec.structs.replace(question, dates_known=False)).state == "issued"
        new_password(est, tmp_path)
        another = msgspec.structs.replace(question, now=tomorrow)
        assert step(another).state == "issued", "OpenSSL would judge by the machine's clock, which is wrong then"


def test_a_renewal_is_due_by_the_clock_of_who_asks(est: EstServer, asking: Asking, wallet: WalletFile) -> None:
    """The machine's may be wrong by years where the time comes from elsewhere."""
    step(asking())
    assert step(asking(now=current(wallet).renew_at - 1)).state == "held"
    assert step(asking(now=current(wallet).renew_at + 1)).state == "issued"
    assert [asked.operation for asked in est.asked] == ["simpleenroll", "simplereenroll"]


def test_the_manufacturers_certificate_serves_instead_of_a_password(
    est: EstServer, asking: Asking, tmp_path: Path
) -> None:
    certificate, key = est.authority.pair("a device of the maker")
    (tmp_path / "maker.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (tmp_path / "maker.key").write_bytes(pem_of(key))
    answer = step(asking(password_file="", cert_file=str(tmp_path / "maker.pem"), key_file=str(tmp_path / "maker.key")))
    assert answer.state == "issued"
    assert est.asked[0].shown == certificate.public_bytes(Encoding.DER)


def test_a_certificate_for_somebody_else_is_not_taken(est: EstServer, asking: Asking, wallet: WalletFile) -> None:
    stranger, _ = est.authority.pair(EUI)
    est.answers = [est._certificates(stranger)]
    answer = step(asking())
    assert (answer.state, answer.code) == ("failed", "certificate_refused")
    assert wallet.read().current is None


def test_a_short_life_is_renewed_after_two_thirds_of_it(est: EstServer, asking: Asking, tmp_path: Path) -> None:
    est.life, est.begins = timedelta(seconds=3000), datetime.now(UTC) - timedelta(seconds=1900)
    step(asking())
    assert step(asking()).state == "held"
    est.begins = datetime.now(UTC) - timedelta(seconds=2200)
    new_password(est, tmp_path)
    step(asking())
    assert step(asking()).state == "issued"
    assert est.asked[-1].operation == "simplereenroll"
