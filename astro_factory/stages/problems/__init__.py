"""Problem sources: each writes `problems.parquet`."""
