"""Hypothesis as all laws use it: the same examples on every run, no time limit for one, nothing kept on disk."""

from hypothesis import settings

settings.register_profile("laws", derandomize=True, deadline=None, database=None)
settings.load_profile("laws")
