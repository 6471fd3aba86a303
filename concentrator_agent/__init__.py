"""The daemon in the concentrator: radio front end, network server, outbox and MQTT backhaul."""
