"""The whole system on one machine with private, embedded defaults. Nothing here needs Django or a service of the system."""
