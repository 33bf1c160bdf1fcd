"""Items that earlier releases stored are still found: no model is asked again.

`old_items.json` holds items as the code of 2026-11-28 wrote them: a whole tree's votes as one item for `judge`,
one item a sample for `evaluate` and `pass_rate`.

    python -m tests.stages.test_old_items     # prints what the present code writes
"""

import json
import tempfile
from pathlib import Path

import pytest

from astro_factory.core.artifacts import TABLE_FILES
from astro_factory.core.context import Items, StageContext
from astro_factory.core.tables import write_table
from astro_factory.core.trees import tree_schema
from astro_factory.stages import evaluate, judge
from astro_factory.stages.problems import pass_rate
from astro_factory.training.word_tokenizer import CHAT_FORMATS, build_tokenizer
from tests.stages.test_evaluate import ANSWERS, PUZZLES, write_problems
from tests.stages.test_generation import COUNTDOWN, answering, asking
from tests.stages.test_linearize import linearize, trees
from tests.training.tiny import Recorded

STORED = Path(__file__).with_name("old_items.json")
PUZZLE = {"kind": "scripted", "responses": {"": ANSWERS}}
STAGES = {
    "judge": (
        judge,
        {"trees": "trees", "votes": 2, "prompt": asking("{{ node.facts.result }}")}
        | {"engine": answering(**{"": ["yes"]})},
    ),
    "pass_rate": (pass_rate, {"problems": "test", "samples": 2, "engine": PUZZLE, "keep": (0, 1)}),
    "evaluate": (
        evaluate,
        {"arms": ["model"], "suite": {"problems": ["test"], "samples": 3, "metrics": ["pass@1"]}, "engine": PUZZLE},
    ),
}


class Kept(Items):
    """Items in memory, by key."""

    def __init__(self, values: dict[str, str], frozen: bool):
        self.values, self.frozen = values, frozen

    def get(self, key: str) -> bytes | None:
        return self.values[key].encode() if key in self.values else None

    def put(self, key: str, value: bytes) -> None:
        assert not self.frozen, f"{value!r} was generated again"
        self.values[key] = value.decode()


def run(kind: str, root: Path, items: Items) -> Path:
    model, source = root / "model", root / "trees"
    build_tokenizer([], 0, CHAT_FORMATS["minimal"], 4096).save_pretrained(model)
    source.mkdir()
    write_table(source / TABLE_FILES["trees"], [tree.as_row() for tree in trees()], tree_schema())
    linearize(root / "traces", trees(), wrong_branches=2, template=COUNTDOWN)
    inputs = {"model": model, "trees": source, "traces": root / "traces"}
    inputs["test"] = write_problems(root / "test", PUZZLES)
    module, fields = STAGES[kind]
    fields = {"kind": kind} | ({} if kind == "evaluate" else {"model": "model"}) | fields
    (root / "out").mkdir()
    ctx = StageContext(kind, inputs, {name: name for name in inputs}, root / "out", root, items, Recorded())
    module.run(ctx, module.Config(**fields))
    return root / "out"


@pytest.mark.parametrize("kind", STAGES)
def test_no_model_is_asked_again(kind, tmp_path):
    stored = json.loads(STORED.read_text())[kind]
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    old = run(kind, tmp_path / "old", Kept(stored, frozen=True))
    new = run(kind, tmp_path / "new", Kept({}, frozen=False))
    contents = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in (old, new)]
    assert contents[0] == contents[1]


def main() -> None:
    found = {}
    for kind in STAGES:
        with tempfile.TemporaryDirectory() as folder:
            items = Kept({}, frozen=False)
            run(kind, Path(folder), items)
            found[kind] = items.values
    print(json.dumps(found, indent=1, sort_keys=True))


if __name__ == "__main__":
    main()
