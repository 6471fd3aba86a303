"""What both daemons share and meterwire must not hold: configuration, sealed files, storage, MQTT, watchdog, logs."""
