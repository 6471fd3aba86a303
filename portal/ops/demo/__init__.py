"""The whole system on one machine with private, embedded defaults; needs no service of the system."""
