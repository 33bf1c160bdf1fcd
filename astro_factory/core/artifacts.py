"""The artifact types that stages exchange, and the files of each.

An artifact is a folder of files. Tables are Parquet, so that `datasets.load_dataset` reads a published folder as it is.
"""

from enum import StrEnum


class ArtifactType(StrEnum):
    """The type of a stage's output. References are checked against it at compile time."""

    MODEL = "model"
    """A Hugging Face model folder (config.json, model.safetensors, tokenizer), or `hub.json`, a pinned pointer."""
    PROBLEMS = "problems"
    """`problems.parquet`, rows of `core.problems.Problem`."""
    DIALOGUES = "dialogues"
    """`dialogues.parquet`, rows with `messages`: training text that does not come from a search."""
    TREES = "trees"
    """`trees.parquet`, one row per problem, rows of `core.trees.Tree`."""
    VOTES = "votes"
    """`votes.parquet`, one row per voted terminal of a tree: a model's votes on the solution (`core.votes`)."""
    TRACES = "traces"
    """`traces.parquet`, one row per chain-of-thought, with `messages` and segments."""
    REPORT = "report"
    """`report.json`, `analysis.json` and `samples.parquet`."""
    PUBLICATION = "publication"
    """`publication.json`: where it was published, and the commit."""


TABLE_FILES = {
    ArtifactType.PROBLEMS: "problems.parquet",
    ArtifactType.DIALOGUES: "dialogues.parquet",
    ArtifactType.TREES: "trees.parquet",
    ArtifactType.VOTES: "votes.parquet",
    ArtifactType.TRACES: "traces.parquet",
}
