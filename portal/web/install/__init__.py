"""The installer's app: one page that works without network, and what it asks the portal for."""
