"""Enrolment over secure transport (RFC 7030 with RFC 8951): how a concentrator comes to its certificate by itself."""
