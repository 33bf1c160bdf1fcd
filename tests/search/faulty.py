"""A scripted engine that writes down what it is asked, and fails as told."""

import os
from pathlib import Path

from astro_factory.engines.base import Engine, Sample
from astro_factory.engines.config import ScriptedConfig
from astro_factory.engines.scripted_engine import ScriptedEngine

FAULTS = {
    "fewer": lambda samples: samples[1:],
    "odd ids": lambda samples: [Sample((*samples[0].ids, 1), *_rest(samples[0])), *samples[1:]],
    "nan": lambda samples: [Sample((1,), "a", (float("nan"),), "stop"), *samples[1:]],
    "hope": lambda samples: [Sample((1,), "a", (2.0,), "stop"), *samples[1:]],
    "finish": lambda samples: [Sample((1,), "a", (-1.0,), "tired"), *samples[1:]],
}


class FaultyEngine(Engine):
    """Options: `responses` as of the scripted engine; `log`, a file that gets a line for each sample; `fault` (`die`,
    `raise` or one of `FAULTS`) for the batch number `at`, once if the file `once` is named."""

    def __init__(self, options, folder):
        self._scripted = ScriptedEngine(ScriptedConfig(kind="scripted", responses=options["responses"]), folder)
        self.tokenizer, self.max_model_len = self._scripted.tokenizer, self._scripted.max_model_len
        self._options, self._batches = options, 0

    def generate(self, requests):
        self._batches += 1
        if log := self._options.get("log"):
            lines = "".join(f"{os.getpid()} {seed}\n" for request in requests for seed in request.seeds)
            with open(log, "a") as file:
                file.write(lines)
        answers = self._scripted.generate(requests)
        fault = self._options.get("fault")
        if fault and self._batches >= self._options.get("at", 1) and self._first():
            if fault == "die":
                os._exit(7)
            if fault == "raise":
                raise RuntimeError("out of luck")
            answers[0] = FAULTS[fault](answers[0])
        return answers

    def _first(self) -> bool:
        once = self._options.get("once")
        if once is None:
            return True
        try:
            Path(once).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def _rest(sample: Sample) -> tuple:
    return sample.text, sample.logprobs, sample.finish


def faulty(responses: dict, **options) -> dict:
    """The engine's configuration for a spec or a stage."""
    return {"kind": "python", "target": f"{__name__}:FaultyEngine", "options": {"responses": responses, **options}}
