"""Measurements of what paperfeed promises; each runs as `python -m benchmarks.NAME`."""
