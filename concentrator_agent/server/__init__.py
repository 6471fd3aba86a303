"""LoRaWAN network and join server."""
