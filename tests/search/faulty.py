"""An engine that logs its requests and fails on demand."""

import os
import time
from pathlib import Path

from pydantic import TypeAdapter

from astro_factory.engines import open_engine
from astro_factory.engines.base import Engine, Sample, Stream
from astro_factory.engines.config import EngineConfig

FAULTS = {
    "fewer": lambda samples: samples[1:],
    "odd ids": lambda samples: [Sample((*samples[0].ids, 1), *_rest(samples[0])), *samples[1:]],
    "nan": lambda samples: [Sample((1,), "a", (float("nan"),), "stop"), *samples[1:]],
    "above zero": lambda samples: [Sample((1,), "a", (2.0,), "stop"), *samples[1:]],
    "finish": lambda samples: [Sample((1,), "a", (-1.0,), "tired"), *samples[1:]],
}


class FaultyEngine(Engine):
    """Options: `engine`, the engine that answers; `log`, a file for the process and seed of each sample; `fault`
    (`die`, `hang`, `raise` or one of `FAULTS`) from batch number `at` on, only once if the file `once` is given."""

    def __init__(self, options, folder):
        self._engine = open_engine(TypeAdapter(EngineConfig).validate_python(options["engine"]), folder)
        self.tokenizer, self.max_model_len = self._engine.tokenizer, self._engine.max_model_len
        self._options, self._batches = options, 0

    def generate(self, requests):
        self._batches += 1
        answers = self._engine.generate(requests)
        fault = self._options.get("fault")
        if fault and self._batches >= self._options.get("at", 1) and self._should_fail():
            if fault == "die":
                os._exit(7)
            if fault == "hang":
                time.sleep(1000)
            if fault == "raise":
                raise RuntimeError("out of luck")
            answers[0] = FAULTS[fault](answers[0])
        return answers

    def stream(self):
        if "log" in self._options:
            return LoggedStream(self._engine.stream(), Path(self._options["log"]))
        return super().stream()

    def _should_fail(self) -> bool:
        once = self._options.get("once")
        if once is None:
            return True
        try:
            Path(once).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


class LoggedStream(Stream):
    def __init__(self, stream, log: Path):
        self._stream, self._log = stream, log

    def add(self, ticket, request):
        with self._log.open("a") as file:
            file.write("".join(f"{os.getpid()} {seed}\n" for seed in request.seeds))
        self._stream.add(ticket, request)

    def take(self):
        return self._stream.take()


def _rest(sample: Sample) -> tuple:
    return sample.text, sample.logprobs, sample.finish


def faulty(engine: dict, **options) -> dict:
    """The engine's configuration for a spec or a stage."""
    return {"kind": "python", "target": f"{__name__}:FaultyEngine", "options": {"engine": engine, **options}}
