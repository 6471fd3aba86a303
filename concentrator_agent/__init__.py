"""The daemon in the concentrator: radio front end, network server, outbox and MQTT backhaul."""

__version__ = "0.1.0"
