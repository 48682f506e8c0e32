"""Insights: what a run found, told to the people who decide. The report is one sealed HTML file of totals only.

Comes in: a run manifest (``contracts.run_manifest``). Goes out: HTML. Nothing here computes a metric of a model; what a
panel derives (interpolation between two cuts, detectable effect, worth of partner data) says its formula beside it.
"""
