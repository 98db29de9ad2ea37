"""A check of one connection: what its platform is like, and which settings fit. See ``docs/doctor.md``."""
