"""What both daemons share and meterwire must not hold: configuration, sealed files, storage, MQTT, watchdog, logs."""

from edge import lean as _lean  # noqa: F401  (takes effect by being imported first)
