"""The problems of a grpo stage, as prompts for other trainers."""

from collections.abc import Iterator
from typing import Any

from astro_factory.core.artifacts import TABLE_FILES, ArtifactType
from astro_factory.core.chat import encode_prompt, terminator
from astro_factory.core.problems import Problem
from astro_factory.core.tables import read_table
from astro_factory.exporting.folder import ExportFolder
from astro_factory.exporting.judging import REWARD_FILE, Judge
from astro_factory.exporting.source import Source
from astro_factory.training.settings import VLLMRollouts

_OWN = "python:"


def read_problems(source: Source) -> list[Problem]:
    """The stage's problems. Raises `UserError` E152 if they are not built."""
    rows = read_table(source.input(source.grpo.problems) / TABLE_FILES[ArtifactType.PROBLEMS])
    return [Problem.from_row(row) for row in rows]


def prompt(problem: Problem) -> list[dict[str, str]]:
    """The conversation that asks a problem."""
    return [{"role": "user", "content": problem.question}]


def longest_prompt(source: Source, problems: list[Problem]) -> int:
    """Room for prompts, in tokens: what `max_model_len` leaves, else the length of the longest prompt."""
    settings = source.grpo
    if isinstance(settings.rollouts, VLLMRollouts) and settings.rollouts.max_model_len:
        return settings.rollouts.max_model_len - settings.max_new_tokens
    return max(len(encode_prompt(source.tokenizer, prompt(problem))) for problem in problems)


def write_judge(export: ExportFolder, problems: list[Problem]) -> None:
    """Write the reward's settings, and say what the trainer's environment needs for them."""
    settings = export.source.grpo
    ends = [] if settings.reward.truncated is None else [terminator(export.source.tokenizer)]
    Judge(settings.reward, frozenset(ends), settings.max_new_tokens).save(export.file(REWARD_FILE))
    export.notes.append(
        "The rewards come from astro-factory's verifiers: install it beside the trainer, with `pip install --no-deps "
        "astro-factory` and `pip install sympy`."
    )
    names = sorted({problem.verifier for problem in problems})
    for name in names:
        if name.startswith(_OWN):
            module = name.removeprefix(_OWN).partition(":")[0]
            export.notes.append(f"The verifier `{name}` needs its module `{module}` on PYTHONPATH.")
    if "reasoning_gym" in names:
        export.notes.append("The verifier `reasoning_gym` needs `pip install reasoning-gym`.")


def rows(problems: list[Problem], times: int = 1) -> Iterator[dict[str, Any]]:
    """Each problem with its prompt; the whole list `times` times."""
    for _ in range(times):
        for problem in problems:
            yield {"prompt": prompt(problem), "problem": problem.as_row()}
