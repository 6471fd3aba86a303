"""What travels between meter, adapter, concentrator and portal: bytes in, values out. No clock, socket or file."""
