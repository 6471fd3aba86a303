"""The portal's side of port 34: keys go out, answers come in, until each key is in use, or has failed with a reason."""

from portal.bridge.keys.party import Keys

__all__ = ["Keys"]
