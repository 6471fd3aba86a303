"""The domain: accounts, audit, fleet, keys, pairing."""
