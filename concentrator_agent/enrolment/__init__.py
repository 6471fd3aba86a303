"""The concentrator's certificate: its key is made here, the portal signs it (EST, RFC 7030), the broker asks for it.

What talks to the portal runs in a process of its own (`step`), so that the daemon stays small.
"""
