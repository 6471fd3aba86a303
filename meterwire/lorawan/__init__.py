"""LoRaWAN 1.0.4: frames, keys, MAC commands, the EU868 plan, airtime and duty cycle."""
