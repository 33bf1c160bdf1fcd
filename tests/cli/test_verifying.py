"""`verify`: one object a row, in order, whatever stands in the rows."""

import json
import signal
import subprocess
import sys
import time

import pytest

from astro_factory.cli.verifying import verify
from astro_factory.core.errors import UserError

ROWS = [
    ("42", r"so it is \boxed{42}", "correct", "42"),
    ("1,-2", "The answer is -2, 1.", "correct", "-2, 1"),
    ("(1,2)", r"\boxed{(2,1)}", "incorrect", "(2,1)"),
    ("[1,2]", r"\boxed{\{1,2\}}", "incorrect", r"\{1,2\}"),
    (5, "Answer: 5", "correct", "5"),
    ("5", None, "no_answer", ""),
    ("5", "x" * 1_000_000, "no_answer", ""),
    ("5", r"\boxed{" + "1+" * 500_000 + "1}", "incorrect", "1+" * 100),
    ("5", r"\boxed{" + "(" * 500 + "5" + ")" * 500 + "}", "incorrect", "(" * 200),
    ("5", "\x00\\boxed{5\x00}", "correct", "5\x00"),
    ("5", "\ud800 \\boxed{5}", "correct", "5"),
    ("5", r"\boxed{\frac{\sqrt}{5}", "no_answer", ""),
    ("5", r"\boxed{9^{9^{9^{9}}}}", "incorrect", "9^{9^{9^{9}}}"),
    ("5", r"\boxed{99999999999999999999!}", "incorrect", "99999999999999999999!"),
    ("", r"\boxed{5}", "unparseable_gold", "5"),
    (None, r"\boxed{5}", "unparseable_gold", "5"),
    (float("nan"), r"\boxed{5}", "unparseable_gold", "5"),
    (float("inf"), r"\boxed{5}", "incorrect", "5"),
    (r"\infty", r"\boxed{+\infty}", "correct", r"+\infty"),
    (r"\frac{1}{0}", r"\boxed{5}", "unparseable_gold", "5"),
    ("1 or 2", r"\boxed{2, 1}", "correct", "2, 1"),
]


def write(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def test_gives_one_verdict_a_row_in_order(tmp_path, capsys):
    rows = write(tmp_path / "rows.jsonl", [{"gold": gold, "answer": answer} for gold, answer, *_ in ROWS])
    verify(rows, "math", as_json=True)
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["verdict"], row["extracted"]) for row in found] == [row[2:] for row in ROWS]


def test_shows_people_the_same_and_counts(tmp_path, capsys):
    verify(write(tmp_path / "rows.jsonl", [{"gold": "1", "answer": "answer: 1"}, {"gold": "1", "answer": "2"}]))
    assert capsys.readouterr().out.splitlines() == [
        "     1 correct          1",
        "     2 no_answer",
        "1 correct, 1 no_answer",
    ]


def test_takes_what_a_verifier_needs_beside_the_answer(tmp_path, capsys):
    info = {"numbers": [4, 10, 3], "target": 17}
    verify(
        write(tmp_path / "rows.jsonl", [{"gold": "", "answer": "answer 4 + 10 + 3", "info": info}]),
        "countdown",
        as_json=True,
    )
    assert json.loads(capsys.readouterr().out)["verdict"] == "correct"


@pytest.mark.parametrize(
    ("name", "text", "kind", "message"),
    [
        (
            "rows.txt",
            "",
            "math",
            "E426 '{}' has no known format; use a file ending in .jsonl, .json, .csv, .tsv, .parquet",
        ),
        ("none.jsonl", None, "math", "E101 there is no file {}; name a file of rows"),
        ("rows.jsonl", '{"gold": 1, "answr": ""}', "math", "{} E422 line 1 has no 'answer'; did you mean 'answr'?"),
        ("rows.jsonl", "", "maths", "E401 unknown verifier 'maths'; did you mean 'math'?"),
    ],
)
def test_names_what_is_wrong_with_the_file(tmp_path, name, text, kind, message):
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError) as caught:
        verify(path, kind)
    assert str(caught.value) == message.format(path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_at_once(tmp_path, number):
    bomb = r"\boxed{\sum_{k=1}^{9999} \frac{1}{k^2+k!}}"
    rows = write(tmp_path / "rows.jsonl", [{"gold": "1", "answer": bomb}] * 50)
    program = "import sys; from astro_factory.cli.main import main; sys.argv[0] = 'astro-factory'; main()"
    command = [sys.executable, "-c", program, "verify", str(rows), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and "timeout" in process.stdout.readline()
    start = time.monotonic()
    process.send_signal(number)
    process.communicate(timeout=20)
    assert time.monotonic() - start < 10 and process.returncode not in (0, None)
