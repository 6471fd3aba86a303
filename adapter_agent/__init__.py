"""The daemon beside a meter: reads it, seals the values, sends them by long-range radio."""

__version__ = "0.1.0"
