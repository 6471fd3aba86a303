"""Settings of the portal; every value comes from MSPAN_* variables, secrets from files named by MSPAN_*_FILE."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import dj_database_url
from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent


def _flag(name: str, default: bool = False) -> bool:
    return os.environ.get(name, "1" if default else "0").lower() in {"1", "true", "yes", "on"}


def _secret(name: str, default: str = "") -> str:
    """The content of the file named by `name`_FILE, else of `name`."""
    path = os.environ.get(f"{name}_FILE")
    if not path:
        return os.environ.get(name, default)
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(f"{name}_FILE names {path}, which cannot be read: {error.strerror}") from error


DATA_DIR = Path(os.environ.get("MSPAN_DATA_DIR", BASE_DIR / ".demo"))
DEBUG = _flag("MSPAN_DEBUG")
TLS = _flag("MSPAN_TLS", default=not DEBUG)  # the portal is reached over HTTPS: secure cookies, HSTS
SECRET_KEY = _secret("MSPAN_SECRET_KEY")
if not SECRET_KEY:
    raise ImproperlyConfigured("Set MSPAN_SECRET_KEY_FILE to a file with at least 50 random characters.")
ALLOWED_HOSTS = [h for h in os.environ.get("MSPAN_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",") if h]
CSRF_TRUSTED_ORIGINS = [o for o in os.environ.get("MSPAN_TRUSTED_ORIGINS", "").split(",") if o]

INSTALLED_APPS = [
    "provisioning.accounts",
    "provisioning.audit",
    "provisioning.fleet",
    "provisioning.approvals",
    "provisioning.keys",
    "provisioning.campaigns",
    "provisioning.pki",
    "provisioning.slots",
    "provisioning.labels",
    "provisioning.pairing",
    "provisioning.batches",
    "portal.telemetry",
    "portal.days",
    "portal.bridge",
    "portal.api",
    "portal.web",
    "portal.ops",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "csp",
    "allauth.account",  # has no pages here; allauth.mfa leans on it
    "allauth.mfa",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "portal.web.second_factor.Demand",
]

ROOT_URLCONF = "portal.urls"
ASGI_APPLICATION = "portal.asgi.application"
AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "overview"
LOGOUT_REDIRECT_URL = "login"
# Administrators log in with a second factor; key custodians always do.
DEMAND_SECOND_FACTOR = _flag("MSPAN_DEMAND_SECOND_FACTOR", default=TLS and not DEBUG)
MFA_ADAPTER = "provisioning.accounts.sealing.SealingAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_TOTP_ISSUER = "Meterspan"
MFA_TOTP_TOLERANCE = 1  # steps of 30 seconds, for clocks that are not quite right
MFA_RECOVERY_CODES_SHOW_ONCE = True
# allauth's own ways of signing up and logging in are routed nowhere; these fit the user model.
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "portal.web.context.shell",
            ]
        },
    }
]

# Under ASGI each request has a thread of its own; a connection kept open would be lost with it.
DATABASES = {
    "default": dj_database_url.parse(
        os.environ.get("MSPAN_DATABASE_URL", f"sqlite:///{DATA_DIR / 'portal.sqlite3'}"), conn_max_age=0
    )
}
if "sqlite" in str(DATABASES["default"]["ENGINE"]):
    # WAL alone still ends in "database is locked": a writer must take the lock when its transaction begins.
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;",
    }
    DATABASES["default"]["TEST"] = (
        {"NAME": os.environ.get("MSPAN_TEST_SQLITE", "")} if "MSPAN_TEST_SQLITE" in os.environ else {}
    )
else:
    # A server that vanished without a word is noticed within a minute, so that the bridge can try again.
    DATABASES["default"].setdefault("OPTIONS", {}).update(
        connect_timeout=10, keepalives_idle=20, keepalives_interval=10, keepalives_count=3, tcp_user_timeout=30_000
    )
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# smtps://USER:PASSWORD@HOST:PORT, smtp+starttls://… or smtp://…, in a file; without it nothing is mailed.
_mail = urlsplit(_secret("MSPAN_MAIL_URL"))
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if _mail.hostname else 'dummy'}.EmailBackend"
EMAIL_HOST, EMAIL_PORT = _mail.hostname or "", _mail.port or (465 if _mail.scheme == "smtps" else 587)
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = unquote(_mail.username or ""), unquote(_mail.password or "")
EMAIL_USE_SSL, EMAIL_USE_TLS = _mail.scheme == "smtps", _mail.scheme == "smtp+starttls"
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = SERVER_EMAIL = os.environ.get("MSPAN_MAIL_FROM", "meterspan@localhost")

REDIS_URL = os.environ.get("MSPAN_REDIS_URL", "redis://127.0.0.1:6379/0")
CELERY_BROKER_URL = REDIS_URL
CELERY_RESULT_BACKEND = REDIS_URL
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_TIME_LIMIT = 600
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# Who hands a task over while Redis is away is told so at once: pages do not wait, and the schedule comes again.
CELERY_BROKER_TRANSPORT_OPTIONS = {"max_retries": 1, "interval_start": 0.1, "interval_step": 0, "interval_max": 0.1}

MQTT: dict[str, Any] = {
    "host": os.environ.get("MSPAN_MQTT_HOST", "127.0.0.1"),
    "port": int(os.environ.get("MSPAN_MQTT_PORT", "1883")),
    "username": os.environ.get("MSPAN_MQTT_USER", "portal"),
    "password": _secret("MSPAN_MQTT_PASSWORD"),
    "ca_file": os.environ.get("MSPAN_MQTT_CA_FILE", ""),
}
# Where broker_config wrote Mosquitto's files, when it runs on the bridge's machine: the bridge keeps the passwords.
BROKER_DIR = os.environ.get("MSPAN_BROKER_DIR", "")

# The key-encryption key never enters the database; only processes that are handed its file can open device keys.
KEK_FILE = os.environ.get("MSPAN_KEK_FILE", "")
# Who holds it: `file` (KEK_FILE), or `pkcs11`, a token behind a PKCS#11 module.
KEK_PROVIDER = os.environ.get("MSPAN_KEK_PROVIDER", "file")
_PKCS11 = ("module", "token", "label", "pin_file", "intake_file")
PKCS11 = {name: os.environ.get(f"MSPAN_PKCS11_{name.upper()}", "") for name in _PKCS11}
# The key-encryption key before, until manage.py kek_rotate is done with it; what is not given is as above.
OLD_KEK_FILE = os.environ.get("MSPAN_OLD_KEK_FILE", "")
OLD_KEK_PROVIDER = os.environ.get("MSPAN_OLD_KEK_PROVIDER", "file" if OLD_KEK_FILE else "")
OLD_PKCS11 = {name: os.environ.get(f"MSPAN_OLD_PKCS11_{name.upper()}", PKCS11[name]) for name in _PKCS11}
# A file next to the database's machine is no place for it in production, unless somebody decides so.
ALLOW_FILE_KEK = _flag("MSPAN_ALLOW_FILE_KEK")
# What all others are handed instead: with it they can put keys away, never open one.
KEK_PUBLIC_FILE = os.environ.get("MSPAN_KEK_PUBLIC_FILE", "")
# Where the vault process listens (manage.py run_vault), for those that have no key-encryption key.
VAULT_SOCKET = os.environ.get("MSPAN_VAULT_SOCKET", "")
# Certificates of concentrators: how long they hold, how long a list of revoked ones does, and under which address it is
# read by everybody (empty: certificates name none).
PKI: dict[str, Any] = {
    "days": float(os.environ.get("MSPAN_PKI_DAYS", "90")),
    "list_hours": float(os.environ.get("MSPAN_PKI_LIST_HOURS", "168")),
    "crl_url": os.environ.get("MSPAN_PKI_CRL_URL", ""),
}
# The header in which a proxy in front hands on the client certificate that it asked for (PEM, URL-encoded), such as
# X-SSL-Client-Cert. Only set it where the proxy overwrites what clients send; empty: this server speaks TLS by itself.
EST_CERTIFICATE_HEADER = os.environ.get("MSPAN_EST_CERTIFICATE_HEADER", "")
# On adapter labels: vendor id of the LoRa Alliance and profile (TR005); FFFF is nobody's.
LABEL_PROFILE = os.environ.get("MSPAN_LABEL_PROFILE", "FFFF0001")
# The run folder of `./run demo`; set there only, and then /demo/ exists.
DEMO_FOLDER = os.environ.get("MSPAN_DEMO_FOLDER", "")
# Both are derived from the secret key when there is no file; every portal process needs the same ones.
AUDIT_KEY_FILE = os.environ.get("MSPAN_AUDIT_KEY_FILE", "")
TOKEN_PEPPERS_FILE = os.environ.get("MSPAN_TOKEN_PEPPERS_FILE", "")
# Where the ends of the audit chains go every night: a file, best on another machine or write-once, and people by mail.
AUDIT_ANCHOR_FILE = os.environ.get("MSPAN_AUDIT_ANCHOR_FILE", "")
AUDIT_ANCHOR_MAIL = [a for a in os.environ.get("MSPAN_AUDIT_ANCHOR_MAIL", "").split(",") if a]
# Who may read /metrics; empty: this machine only.
METRICS_TOKEN = _secret("MSPAN_METRICS_TOKEN")

# Days after which rows are deleted, by kind; 0 keeps them for ever.
RETENTION_DAYS = {
    kind: int(os.environ.get(f"MSPAN_RETENTION_{kind.upper()}_DAYS", str(days)))
    for kind, days in {"telegrams": 400, "readings": 1100, "events": 400, "hours": 0, "days": 0, "slots": 400}.items()
}

# Bodies stay in memory, within the bounds of portal.web.uploads: nothing that is uploaded is put on a disk.
FILE_UPLOAD_MAX_MEMORY_SIZE = 25 * 2**20

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "portal" / "locale"]
TIME_ZONE = os.environ.get("MSPAN_TIME_ZONE", "Europe/Berlin")
USE_TZ = True

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "portal" / "static"]
STATIC_ROOT = DATA_DIR / "static"
MEDIA_ROOT = DATA_DIR / "media"  # photos of meters; given out by views that ask for permission, never as files
FILE_UPLOAD_PERMISSIONS = 0o600
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = TLS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_HSTS_SECONDS = 31_536_000 if TLS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _flag("MSPAN_BEHIND_PROXY") else None
SECURE_SSL_REDIRECT = TLS
# Asked for by machines: behind the proxy, to be told what is wrong, or (lists of revoked certificates) without TLS.
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|metrics)$", r"^\.well-known/est/", r"^pki/\d+\.(crl|cer)$"]
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "frame-ancestors": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
    }
}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "portal.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PAGINATION_CLASS": "portal.api.pagination.CursorPagination",
    "DEFAULT_FILTER_BACKENDS": ["portal.api.filters.Backend"],
    "EXCEPTION_HANDLER": "portal.api.errors.handle",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Meterspan",
    "DESCRIPTION": "Fleet and readings of smart-meter communication adapters.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "portal.api.schema.add_errors",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "portal.ops.logs.JsonFormatter"},
        "console": {"()": "portal.ops.logs.ConsoleFormatter"},
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "json" if os.environ.get("MSPAN_LOG_FORMAT") == "json" else "console",
        }
    },
    "root": {"handlers": ["stderr"], "level": os.environ.get("MSPAN_LOG_LEVEL", "INFO").upper()},
    "loggers": {"django": {"handlers": [], "propagate": True, "level": "INFO"}, "django.server": {"propagate": True}},
}
