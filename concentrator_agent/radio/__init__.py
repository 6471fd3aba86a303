"""Concentrator radio front ends."""
