"""Backups: database, photos and what names the secrets that are needed; never a key in clear."""
