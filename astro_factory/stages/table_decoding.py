"""Reads every page of a Parquet file, in a worker with limits: behind a sound footer can be garbage or a bomb."""

from pathlib import Path

from astro_factory.core.workers import SharedWorker, WorkerDied, WorkerError, WorkerTimeout

_BATCH_ROWS = 256
_CPU_S, _CPU_S_PER_MB, _TIMEOUT_FACTOR = 10.0, 1.0, 20
_MEMORY_BYTES = 4 << 30
_MAX_BYTES, _MAX_GROWTH = 64 << 20, 1000
"""The values may take so many bytes, or so many times the file's."""

_worker = SharedWorker(f"{__name__}:decode", memory_bytes=_MEMORY_BYTES)


def pages_fault(path: Path) -> str | None:
    """Why the rows of a Parquet file cannot be read, or None."""
    cpu_s = _CPU_S + _CPU_S_PER_MB * path.stat().st_size / (1 << 20)
    try:
        return _worker.call(path.absolute(), timeout_s=_TIMEOUT_FACTOR * cpu_s, cpu_s=cpu_s)
    except WorkerTimeout:
        return f"reading it takes more than {cpu_s:.0f} s"
    except WorkerDied:
        return f"reading it needs more than {_MEMORY_BYTES >> 30} GB"
    except WorkerError as error:
        return error.last_line


def decode(path: Path) -> str | None:
    """Runs in the worker. Raises what the reader raises."""
    from pyarrow.parquet import ParquetFile

    limit, size = max(_MAX_BYTES, _MAX_GROWTH * path.stat().st_size), 0
    with ParquetFile(path, pre_buffer=False) as file:
        for batch in file.iter_batches(_BATCH_ROWS, use_threads=False):
            batch.validate(full=True)  # also that texts are UTF-8
            size += batch.nbytes
            if size > limit:
                return f"its values take more than {limit >> 20} MB"
    return None
