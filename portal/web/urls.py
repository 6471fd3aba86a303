"""The pages' addresses."""

from django.urls import path

from portal.web.live import live
from portal.web.views import (
    account,
    adapters,
    audit,
    concentrators,
    overview,
    pairing,
    readings,
    register,
    session,
    sites,
)

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("incidents/", overview.incidents, name="incidents"),
    path("sites/", sites.site_list, name="sites"),
    path("sites/new/", sites.site_new, name="site-new"),
    path("sites/<int:pk>/", sites.site, name="site"),
    path("sites/<int:pk>/edit/", sites.site_edit, name="site-edit"),
    path("adapters/", adapters.adapter_list, name="adapters"),
    path("adapters/new/", register.adapter_new, name="adapter-new"),
    path("adapters/foreign/", register.foreign_new, name="foreign-new"),
    path("adapters/<int:pk>/", adapters.adapter, name="adapter"),
    path("adapters/<int:pk>/series/", adapters.adapter_series, name="adapter-series"),
    path("adapters/<int:pk>/link/", adapters.adapter_link, name="adapter-link"),
    path("adapters/<int:pk>/archive/", adapters.adapter_archive, name="adapter-archive"),
    path("adapters/<int:pk>/pair/", pairing.pair_adapter, name="adapter-pair"),
    path("pairings/<int:pk>/end/", pairing.pairing_end, name="pairing-end"),
    path("concentrators/", concentrators.concentrator_list, name="concentrators"),
    path("concentrators/new/", concentrators.concentrator_new, name="concentrator-new"),
    path("concentrators/<int:pk>/", concentrators.concentrator, name="concentrator"),
    path("concentrators/<int:pk>/approve/", concentrators.concentrator_approve, name="concentrator-approve"),
    path("concentrators/<int:pk>/password/", concentrators.concentrator_password, name="concentrator-password"),
    path("readings/", readings.reading_list, name="readings"),
    path("readings/export/", readings.reading_export, name="readings-export"),
    path("audit/", audit.audit, name="audit"),
    path("audit/verify/", audit.audit_verify, name="audit-verify"),
    path("tokens/", account.token_list, name="tokens"),
    path("tokens/<int:pk>/revoke/", account.token_revoke, name="token-revoke"),
    path("account/", account.account, name="account"),
    path("organisations/", session.organisations, name="organisations"),
    path("organisations/<int:pk>/choose/", session.choose, name="choose"),
    path("login/", session.login, name="login"),
    path("logout/", session.logout, name="logout"),
    path("language/", session.language, name="language"),
    path("live/", live, name="live"),
]
