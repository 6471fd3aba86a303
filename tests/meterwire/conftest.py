"""Property tests repeat themselves exactly and do not fail because a machine is slow."""

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
