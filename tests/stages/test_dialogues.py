import json

import pytest

from astro_factory.core.errors import UserError
from astro_factory.core.tables import read_table
from astro_factory.stages.dialogues import Config, check, run
from tests.training.tiny import context

ASKED = {"role": "user", "content": "What is 2 + 3?"}
SAID = {"role": "assistant", "content": "2 + 3 = 5"}
ROWS = [
    {"messages": [ASKED, SAID], "skill": "sums"},
    {"messages": [{"role": "system", "content": "Be brief."}, ASKED, SAID | {"weight": 1}]},
]


def write(path, rows):
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist([row | {"skill": row.get("skill")} for row in rows]), path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def build(tmp_path, rows, name="d.jsonl"):
    write(tmp_path / name, rows)
    ctx = context(tmp_path / "run", {name: tmp_path / name})
    run(ctx, Config(kind="dialogues", path=name))
    return read_table(ctx.out / "dialogues.parquet")


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet"])
def test_every_format_gives_the_same_dialogues(tmp_path, suffix):
    assert build(tmp_path, ROWS, f"d{suffix}") == [
        {"id": "0", "skill": "sums", "messages": [ASKED, SAID]},
        {"id": "1", "skill": "", "messages": [{"role": "system", "content": "Be brief."}, ASKED, SAID]},
    ]


FAULTS = [[SAID], [ASKED, SAID | {"role": "bot"}], [ASKED | {"content": " "}, SAID], [ASKED, SAID, ASKED]]


def test_rows_that_are_no_dialogues_are_reported_with_their_lines(tmp_path, golden):
    with pytest.raises(UserError) as caught:
        build(tmp_path, [ROWS[0], *({"messages": messages} for messages in FAULTS)])
    assert [found.code for found in caught.value.diagnostics] == ["E433"] * len(FAULTS)
    golden(str(caught.value))


def test_only_the_first_faults_are_named(tmp_path):
    with pytest.raises(UserError) as caught:
        build(tmp_path, [{}] * 30)
    assert len(caught.value.diagnostics) == 10


def test_an_empty_file_is_refused(tmp_path, golden):
    with pytest.raises(UserError, match="E433") as caught:
        build(tmp_path, [])
    golden(str(caught.value))


def test_the_format_is_known_at_compile_time(golden):
    assert check(Config(kind="dialogues", path="d.parquet"), {}) == []
    [found] = check(Config(kind="dialogues", path="d.csv"), {})
    assert found.code == "E426"
    golden(str(found))
