"""What holds for every test: hypothesis repeats itself exactly and is never stopped by a slow machine."""

from hypothesis import settings

settings.register_profile("meterspan", derandomize=True, deadline=None)
settings.load_profile("meterspan")
