"""Settings that hold for every test."""

from hypothesis import settings

# Failing examples are printed; no folder of them is kept, since the sources may not be writable.
settings.register_profile("spe", database=None, deadline=None)
settings.load_profile("spe")
