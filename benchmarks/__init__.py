"""Benchmarks: each says what it measures, against what, and ends with a line of JSON. `make bench` runs small ones."""
