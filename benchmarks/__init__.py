"""Benchmarks: `make bench` runs them; each says what it measures, against what, and ends with a line of JSON."""
