"""What the checks run on: a device, models and data of one size, and a context for stages."""

import gc
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.context import Events, Items, StageContext
from astro_factory.core.devices import gpus, visible_to
from astro_factory.core.dialogues import dialogue_schema
from astro_factory.core.problems import Problem, problem_schema
from astro_factory.core.tables import write_table

_STEPS = 6
"""Steps of the whole model; the first two are slower."""
MICRO_BATCHES = 2
"""Forward passes of a step of the whole model."""
_JUDGE = "python:astro_factory.gpu_check.judge:EvenLength"


class Skip(Exception):
    """The check does not apply to this machine or installation; the text is the reason."""


class Failed(Exception):
    """What the check found is wrong."""


class Size(NamedTuple):
    """Sizes of models and batches."""

    shape: Mapping[str, Any]
    """Architecture of the whole model, as in the kind `init`."""
    numbers: int
    """Numbers in the vocabulary, nearly all of it."""
    thin: Mapping[str, Any]
    """What differs in the model that the CPU computes as well, or of which several copies are trained."""
    thin_numbers: int
    sequences: int
    """Sequences of an optimizer step."""
    length: int
    """Tokens of a sequence of the whole model's training; those of the thin one have an eighth."""


# Llama 3.2 1B
FULL = Size(
    {"hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8}
    | {"intermediate_size": 8192, "max_position_embeddings": 8192, "initializer_range": 0.02},
    numbers=127_000,
    thin={"num_hidden_layers": 2},
    thin_numbers=16_000,
    sequences=8,
    length=2048,
)
TINY = Size(
    {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2}
    | {"intermediate_size": 128, "max_position_embeddings": 256, "initializer_range": 0.1},
    numbers=200,
    thin={},
    thin_numbers=200,
    sequences=8,
    length=128,
)


@dataclass
class Rig:
    """The device and what is made for the checks, below `folder`."""

    folder: Path
    dry_run: bool
    figures: dict[str, float] = field(default_factory=dict)
    """Measurements of the current check."""
    visible: list[str] = field(default_factory=gpus)
    """The ids of all GPUs; this process itself uses the first."""
    whole_peak_gb: float = 0.0
    """Most memory during the training of the whole model."""

    @property
    def size(self) -> Size:
        return TINY if self.dry_run else FULL

    @property
    def device(self) -> Literal["cpu", "cuda"]:
        return "cpu" if self.dry_run else "cuda"

    @cached_property
    def model(self) -> Path:
        """The whole model."""
        return self._make_model("model", self.size.shape, self.size.numbers)

    @cached_property
    def thin(self) -> Path:
        """A model of two layers and a small vocabulary."""
        return self._make_model("thin", {**self.size.shape, **self.size.thin}, self.size.thin_numbers)

    @cached_property
    def dialogues(self) -> Path:
        return self._make_dialogues("dialogues", self.size.length, self.size.numbers)

    @cached_property
    def short_dialogues(self) -> Path:
        """Dialogues of different lengths for the thin model."""
        return self._make_dialogues("short", self.size.length // 8, self.size.thin_numbers, varied=True)

    @cached_property
    def problems(self) -> Path:
        """Problems whose reward is random: whether the response has an even length."""
        rows = [Problem(f"p{i}", f"{i} {i + 1} {i + 2}", "even", _JUDGE).as_row() for i in range(8)]
        folder = self._folder("problems")
        write_table(folder / TABLE_FILES[ArtifactType.PROBLEMS], iter(rows), problem_schema())
        return folder

    def context(self, name: str, **inputs: Path) -> StageContext:
        """A context for a stage; contexts of one name share their checkpoints. Its events are a `Recorder`."""
        out, scratch = self._folder(f"{name}/out"), self._folder(f"{name}/scratch")
        return StageContext(name, inputs, {}, out, scratch, _NoItems(), Recorder())

    @cached_property
    def whole(self) -> tuple[StageContext, "Recorder"]:
        """The training of the whole model, of which several checks measure something."""
        inputs = {"model": self.model, "data": self.dialogues}
        settings = {"max_steps": _STEPS, "precision": "bf16", "gradient_checkpointing": True}
        self.reset_peak()
        found = self.train("whole", inputs=inputs, micro_batches=MICRO_BATCHES, **settings)
        self.whole_peak_gb = self.peak_gb()
        return found

    def train(
        self,
        name: str,
        on_step: Callable[[int], None] | None = None,
        inputs: Mapping[str, Path] | None = None,
        **settings: Any,
    ) -> tuple[StageContext, "Recorder"]:
        """Run the stage `sft`, by default with the thin model; a step has all dialogues.

        Args:
            on_step: called with the number of each finished step.
        """
        from astro_factory.stages import sft

        ctx = self.context(name, **inputs or {"model": self.thin, "data": self.short_dialogues})
        events = ctx.events
        assert isinstance(events, Recorder)
        events.on_step = on_step
        fields = {"kind": "sft", "model": "model", "data": "data", "learning_rate": 1e-4, "schedule": "constant"}
        fields |= {"batch_size": self.size.sequences, "log_every": 1, "save_every": 10_000, "max_grad_norm": 1e9}
        sft.run(ctx, sft.Config.model_validate(fields | settings))
        events.phase("end")
        self.free()
        return ctx, events

    def compare(self, name: str, found: float, expected: float, tolerance: float) -> None:
        """Record the largest relative difference under a name; raises `Failed` beyond the tolerance."""
        difference, key = abs(found - expected) / max(abs(expected), 1e-12), f"{name}_difference"
        self.figures[key] = max(difference, self.figures.get(key, 0.0))
        if not difference <= tolerance:
            raise Failed(f"{name} is {found:.6g}, expected {expected:.6g} within {tolerance:.2%}")

    @property
    def all_gpus(self) -> dict[str, str]:
        """Environment variables that show child processes all GPUs."""
        return visible_to(self.visible)

    @contextmanager
    def environment(self, **variables: str) -> Iterator[None]:
        """Set environment variables for a while."""
        before = dict(os.environ)
        os.environ.update(variables)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def reset_peak(self) -> None:
        """Count the most memory from here."""
        if self.device == "cuda":
            import torch

            if torch.cuda.is_available():
                torch.cuda.reset_peak_memory_stats()

    def peak_gb(self) -> float:
        """Most memory of the GPU since `reset_peak`; on a CPU, most memory of this process since its start."""
        if self.device == "cuda":
            import torch

            return torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else 0.0
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9

    def free(self) -> None:
        """Return the memory of objects that are no longer used to the GPU."""
        if self.device == "cuda":
            import torch

            gc.collect()
            torch.cuda.empty_cache()

    def _make_model(self, name: str, shape: Mapping[str, Any], numbers: int) -> Path:
        from astro_factory.stages.models import init

        config = {"kind": "init", "architecture": dict(shape), "vocabulary": {"numbers": numbers}}
        ctx = self.context(f"models/{name}")
        init.run(ctx, init.Config.model_validate(config))
        return ctx.out

    def _make_dialogues(self, name: str, length: int, numbers: int, varied: bool = False) -> Path:
        """Random numbers, one token each; a question of a quarter of the length, then a response."""
        draw = random.Random(0)

        def text(words: int) -> str:
            return " ".join(str(draw.randrange(numbers)) for _ in range(words))

        rows = []
        for index in range(self.size.sequences):
            words = length - (index * length // (2 * self.size.sequences) if varied else 0) - 4
            messages = [{"role": "user", "content": text(words // 4)}]
            messages += [{"role": "assistant", "content": text(words - words // 4)}]
            rows.append({"id": str(index), "skill": "numbers", "messages": messages})
        folder = self._folder(name)
        write_table(folder / TABLE_FILES[ArtifactType.DIALOGUES], iter(rows), dialogue_schema())
        return folder

    def _folder(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


class Recorder(Events):
    """Keeps curves, and the time of each phase and step."""

    def __init__(self) -> None:
        self.points: list[dict[str, Any]] = []
        self.steps: list[tuple[int, float]] = []
        self.phases: dict[str, float] = {}
        self.on_step: Callable[[int], None] | None = None

    def progress(self, done: int, total: int, unit: str = "", **figures: float) -> None:
        if unit == "steps":
            self.steps.append((done, time.monotonic()))
            if self.on_step:
                self.on_step(done)

    def metric(self, step: int, values: Mapping[str, Any]) -> None:
        if "loss" in values:
            self.points.append({"step": step, **values})

    def log(self, text: str) -> None:
        pass

    def phase(self, name: str) -> None:
        self.phases.setdefault(name, time.monotonic())


class _NoItems(Items):
    def get(self, key: str) -> bytes | None:
        return None

    def put(self, key: str, value: bytes) -> None:
        pass
