"""Simulates who gets through at one concentrator, unslotted or slotted: tens of thousands of meters on one air."""
