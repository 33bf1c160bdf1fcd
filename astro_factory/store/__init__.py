"""The content-addressed store: blobs by digest, results by key, per-item results, locks, exports."""

from astro_factory.store.store import Store

__all__ = ["Store"]
