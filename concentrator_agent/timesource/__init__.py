"""Where the time comes from when the host does not bring it: the SMGw's time server, or the gateways' GPS."""
