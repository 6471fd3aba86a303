"""What both daemons share and meterwire must not hold: configuration, sealed files, outbox, MQTT link, watchdog, logs."""
