"""What travels between meters, adapters, concentrators and the portal: bytes in, values out. No clock, socket or file."""
