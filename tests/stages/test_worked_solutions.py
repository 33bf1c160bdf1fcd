import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astro_factory.core.errors import UserError
from astro_factory.core.problems import Problem
from astro_factory.core.tables import read_table
from astro_factory.stages.worked_solutions import Config, run
from tests.training.tiny import context

CLIPS = (
    "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\n\nShe sold 48+24 = <<48+24=72>>72 clips altogether.\n#### 72",
    "72",
)
BOXED = ("Half of 10 is 5.\nSo the result is $\\boxed{5}$.", "5")


def write(folder, solutions):
    folder.mkdir()
    problems = [Problem(f"p{i}", f"Question {i}?", a, "math", {"solution": s}) for i, (s, a) in enumerate(solutions)]
    pq.write_table(pa.Table.from_pylist([problem.as_row() for problem in problems]), folder / "problems.parquet")
    return folder


def made(tmp_path, solutions, **fields):
    """The responses, and what was logged."""
    ctx = context(tmp_path / "run", {"school": write(tmp_path / "school", solutions)})
    run(ctx, Config.model_validate({"kind": "worked_solutions", "problems": "school", **fields}))
    rows = list(read_table(ctx.out / "dialogues.parquet"))
    assert all([m["role"] for m in row["messages"]] == ["user", "assistant"] for row in rows)
    return {row["id"]: row["messages"][-1]["content"] for row in rows}, ctx.events.lines[-1]


def test_steps_without_notes_and_the_answer_in_a_box(tmp_path):
    found, _ = made(tmp_path, [CLIPS, BOXED])
    assert found == {
        "p0": "Natalia sold 48/2 = 24 clips in May.\nShe sold 48+24 = 72 clips altogether.\nThe answer is \\boxed{72}.",
        "p1": BOXED[0],
    }


def test_paragraphs_another_closing_and_short_solutions_only(tmp_path):
    fields = {"steps": {"format": "blank_line"}, "closing": "\\boxed{ANSWER}", "max_steps": 1}
    found, log = made(tmp_path, [CLIPS, ("3 + 4 = 7 pears.", "7")], **fields)
    assert found == {"p1": "3 + 4 = 7 pears.\n\n\\boxed{7}"}
    assert log == "1 solutions; left out: 1 with more steps, 0 that do not end with the answer"


def test_a_solution_that_ends_with_another_answer_is_left_out(tmp_path):
    found, log = made(tmp_path, [BOXED, ("So it is $\\boxed{6}$.", "7")])
    assert list(found) == ["p0"] and "1 that do not end" in log


WRONG = [
    ([("It is \\boxed{6}.", "7")], {}, "E433 none of 1 solutions in 'solution' ends with the known answer"),
    ([BOXED], {"solution": "worked"}, "E433 1 of 1 problems of 'school' have no text 'worked'"),
]


@pytest.mark.parametrize(("solutions", "fields", "text"), WRONG)
def test_solutions_that_cannot_be_used(tmp_path, solutions, fields, text):
    with pytest.raises(UserError, match=text):
        made(tmp_path, solutions, **fields)
