"""The second cryptographic module's keys: agreed with adapters over port 34, kept with their validity [0087]."""
