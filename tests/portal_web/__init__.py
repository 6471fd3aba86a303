"""Tests of the pages, mirror of portal/web."""
