"""Every change to authorities, certificates and enrolments: permission, change, audit, in one transaction."""

from provisioning.pki.services.authorities import create_authority, fingerprint, issue_server_certificate
from provisioning.pki.services.enrolments import approve_enrolment, note_refusal, refuse_enrolment, request_certificate
from provisioning.pki.services.issue import issue, issue_by_vault
from provisioning.pki.services.lists import publish, refresh, refresh_by_vault, stale
from provisioning.pki.services.manufacturers import distrust_manufacturer, trust_manufacturer
from provisioning.pki.services.passwords import NewPassword, issue_password, withdraw_password
from provisioning.pki.services.revoke import revoke, revoke_all

__all__ = [
    "NewPassword",
    "approve_enrolment",
    "create_authority",
    "distrust_manufacturer",
    "fingerprint",
    "issue",
    "issue_by_vault",
    "issue_password",
    "issue_server_certificate",
    "note_refusal",
    "publish",
    "refresh",
    "refresh_by_vault",
    "refuse_enrolment",
    "request_certificate",
    "revoke",
    "revoke_all",
    "stale",
    "trust_manufacturer",
    "withdraw_password",
]
