"""The types of artifact that stages hand to each other, and the files each is made of.

An artifact is a folder of files. Tables are Parquet, so that `datasets.load_dataset` reads a published folder as it is.
"""

from enum import StrEnum


class ArtifactType(StrEnum):
    """What a stage gives; references are checked against it at compile time."""

    MODEL = "model"
    """A Hugging Face model folder (config.json, model.safetensors, tokenizer), or `hub.json`, a pinned pointer."""
    PROBLEMS = "problems"
    """`problems.parquet`, rows of `core.problems.Problem`."""
    DIALOGUES = "dialogues"
    """`dialogues.parquet`, rows with `messages`: text to train on that comes from no search."""
    TREES = "trees"
    """`trees.parquet`, one row a problem, rows of `core.trees.Tree`."""
    VOTES = "votes"
    """`votes.parquet`, one row a right end of a tree: what a model thought of its solution (`core.votes`)."""
    TRACES = "traces"
    """`traces.parquet`, one row a chain-of-thought, with `messages` and segments."""
    REPORT = "report"
    """`report.json`, `analysis.json` and `samples.parquet`."""
    PUBLICATION = "publication"
    """`publication.json`: where it was published and the commit that did it."""


TABLE_FILES = {
    ArtifactType.PROBLEMS: "problems.parquet",
    ArtifactType.DIALOGUES: "dialogues.parquet",
    ArtifactType.TREES: "trees.parquet",
    ArtifactType.VOTES: "votes.parquet",
    ArtifactType.TRACES: "traces.parquet",
}
