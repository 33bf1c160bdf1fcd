"""Data sets that people use, by name: `preset: gsm8k` stands for a repository, its columns and the form of its answers.

A preset fills in what a spec leaves out, so any of its fields can be written beside it, and `kind: file` with a preset
reads a local copy with the same columns. Names of repositories and columns were correct when this was written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from astro_factory.core.errors import near


@dataclass(frozen=True, slots=True)
class Preset:
    """A data set of the Hub and how to read it."""

    about: str
    """What it holds."""
    licence: str
    """Its licence, as the Hub names it; look at the page before you publish what is made from it."""
    repo: str
    config: str = ""
    split: str = "test"
    rows: dict[str, Any] = field(default_factory=dict)
    """Fields of every source of existing problems (`RowsConfig`)."""


_SOLUTION = {"answer_form": "solution"}

PRESETS: dict[str, Preset] = {
    "gsm8k": Preset("school word problems, 7,473 and 1,319", "mit", "openai/gsm8k", "main", rows=_SOLUTION),
    "math": Preset(
        "competition problems with levels, 7,500 and 5,000",
        "mit",
        "DigitalLearningGmbH/MATH-lighteval",
        split="train",
        rows={"fields": {"question": "problem", "answer": "solution", "level": "level"}, **_SOLUTION},
    ),
    "math500": Preset(
        "500 test problems of MATH",
        "mit",
        "HuggingFaceH4/MATH-500",
        rows={"fields": {"id": "unique_id", "question": "problem", "answer": "answer", "level": "level"}},
    ),
    "amc23": Preset("40 problems of AMC 12, 2023", "unknown", "math-ai/amc23"),
    "aime24": Preset(
        "30 problems of AIME 2024",
        "unknown",
        "HuggingFaceH4/aime_2024",
        split="train",
        rows={"fields": {"question": "problem", "answer": "answer"}},
    ),
    "aime25": Preset(
        "30 problems of AIME 2025",
        "unknown",
        "math-ai/aime25",
        rows={"fields": {"question": "problem", "answer": "answer"}},
    ),
    "svamp": Preset(
        "word problems with changed stories, 700 and 300",
        "mit",
        "ChilleD/SVAMP",
        rows={"fields": {"id": "ID", "question": "question_concat", "answer": "Answer", "level": "Type"}},
    ),
    "mmlu": Preset(
        "multiple choice in 57 subjects, 14,042 test questions",
        "mit",
        "cais/mmlu",
        "all",
        rows={"fields": {"question": "question", "answer": "answer", "choices": "choices", "level": "subject"}},
    ),
    "gpqa": Preset(
        "198 graduate questions in science (gated)",
        "cc-by-4.0",
        "Idavidrein/gpqa",
        "gpqa_diamond",
        split="train",
        rows={
            "fields": {
                "question": "Question",
                "answer": "Correct Answer",
                "choices": ["Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3"],
            },
            "shuffle_choices": 0,
        },
    ),
    "arc": Preset(
        "school science, multiple choice, 1,172 hard test questions",
        "cc-by-sa-4.0",
        "allenai/ai2_arc",
        "ARC-Challenge",
        rows={"fields": {"id": "id", "question": "question", "answer": "answerKey", "choices": "choices"}},
    ),
}


def with_preset(values: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """A config's values with what its `preset` adds.

    Args:
        values: what the spec says; it wins.
        names: the fields that the config has.

    Raises:
        ValueError: there is no such preset.
    """
    preset = PRESETS.get(values["preset"])
    if preset is None:
        raise ValueError(f"there is no preset '{values['preset']}'; {near(values['preset'], PRESETS)}")
    hub = {"repo": preset.repo, "config": preset.config, "split": preset.split}
    merged = {name: value for name, value in hub.items() if name in names} | preset.rows | dict(values)
    if isinstance(fields := values.get("fields"), Mapping):
        merged["fields"] = {**preset.rows.get("fields", {}), **fields}
    return merged
