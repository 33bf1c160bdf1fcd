"""Two specs compared without a store."""

from pathlib import Path

import pytest

from astro_factory.core.shipped import make_workspace
from astro_factory.plan.comparing import compare
from astro_factory.spec import compile_spec

SPECS = Path(__file__).parents[2] / "specs"
BASE = (SPECS / "quickstart.yaml").read_text(encoding="utf-8")


def compared(tmp_path: Path, *edits: tuple[str, str]) -> dict[str, tuple[str, list[str], list[str]]]:
    """Entry to its status, its changes and the inputs that moved it, after edits to the quickstart."""
    text = BASE
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    make_workspace(tmp_path)
    other = tmp_path / "specs" / "other.yaml"
    other.write_text(text)
    found = compare(compile_spec(SPECS / "quickstart.yaml"), compile_spec(other))
    return {entry.name: (entry.status, [change.text for change in entry.changes], entry.inputs) for entry in found}


def test_a_spec_equals_itself(tmp_path):
    assert compared(tmp_path) == {}


def test_a_change_moves_what_depends_on_it(tmp_path):
    found = compared(tmp_path, ("per_problem: 5", "per_problem: 3"))
    assert found.pop("traces") == ("changed", ["per_problem: 5 -> 3"], [])
    assert {status for status, _, _ in found.values()} == {"moved"}
    assert found["astro_sft"] == ("moved", [], ["traces"]) and found["astro_rl"][2] == ["astro_sft"]
    assert not {"base", "trees", "practice", "test"} & found.keys()


def test_a_change_that_no_result_depends_on_is_none(tmp_path):
    assert compared(tmp_path, ("seed: ${params.seed}, processes: 2}", "seed: ${params.seed}, processes: 1}")) == {}


def test_entries_of_one_spec_alone(tmp_path):
    found = compared(tmp_path, ("  direct_sft: {like: astro_sft, data: direct}", "  other_sft: {like: astro_sft}"),
                     ("direct_sft", "other_sft"))  # fmt: skip
    assert found["direct_sft"][0] == "only in the first" and found["other_sft"][0] == "only in the second"


@pytest.mark.parametrize("name", ["llama3_8b", "my_problems"])
def test_shipped_specs_can_be_compared(name):
    found = compare(compile_spec(SPECS / "quickstart.yaml"), compile_spec(SPECS / f"{name}.yaml"))
    assert {"only in the first", "changed"} <= {entry.status for entry in found}
    kinds = next(entry for entry in found if entry.name == "train")
    assert [change.name for change in kinds.changes] == ["kind"]
