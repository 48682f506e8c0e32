"""Scored CSVs to published segments. Publish runs in a container; destinations come later and read manifests only."""
