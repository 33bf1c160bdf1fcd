"""Benchmarks. Each describes what it measures and against what, and prints JSON last. `make bench` runs small ones."""
