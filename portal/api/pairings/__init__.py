"""Pairings: claiming by two scans, watching, confirming, changing."""

from portal.api.pairings.resource import Pairings

__all__ = ["Pairings"]
