"""Benchmarks: `make bench` runs each `bench_*.py`; each prints what it measured and on what."""
