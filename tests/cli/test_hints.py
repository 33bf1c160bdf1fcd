"""What the program says about itself, and what it proposes to run next."""

import os
import subprocess
import sys

import pytest

from astro_factory.cli.options import command_line
from astro_factory.core.verdicts import Outcome, Verdict
from tests.cli.test_commands import run

__all__ = ["run"]

LINES = {
    "plain": (["build", "s.yaml"], "astro-factory show s.yaml:report"),
    "options": (
        ["build", "s.yaml", "--profile", "smoke", "--set", "a.b=1 2", "--jobs", "2", "--set=c=3", "--store", "x"],
        "astro-factory show s.yaml:report --profile smoke --set 'a.b=1 2' --set=c=3 --store x",
    ),
    "flag": (["build", "--no-import", "s.yaml"], "astro-factory show s.yaml:report --no-import"),
}


@pytest.mark.parametrize(("given", "expected"), LINES.values(), ids=LINES)
def test_a_proposed_command_repeats_the_options_that_decide_what_it_finds(monkeypatch, given, expected):
    monkeypatch.setattr(sys, "argv", ["astro-factory", *given])
    assert command_line("show", "s.yaml:report") == expected


def test_trust_is_repeated_where_code_runs(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["astro-factory", "build", "s.yaml", "--trust", "--store", "x"])
    assert command_line("build", "s.yaml") == "astro-factory build s.yaml --trust --store x"
    assert command_line("show", "s.yaml:report") == "astro-factory show s.yaml:report --store x"


def test_version(run):
    assert run("--version").out.startswith("astro-factory 0.")


def test_completion_knows_the_commands():
    program = "import sys; sys.argv = ['astro-factory']; from astro_factory.cli.main import main; main()"
    environment = {"_ASTRO_FACTORY_COMPLETE": "complete_bash", "COMP_WORDS": "astro-factory pu", "COMP_CWORD": "1"}
    ended = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert set(ended.stdout.split()) == {"publish", "pull", "push"}


def test_a_misspelt_file_is_named_with_its_neighbour(run):
    ended = run("check", "spek.yaml")
    assert (ended.code, ended.err.strip()[:4]) == (2, "E101") and "did you mean 'spec.yaml'?" in ended.err


def test_a_folder_stands_for_its_specs(run, tmp_path):
    (tmp_path / "parts.yaml").write_text("params: {a: 1}\n")
    assert run("check", ".").out.splitlines() == ["spec.yaml: 4 stages, no errors"]
    (tmp_path / "broken.yaml").write_text("factory: 1\nname: x\nstagse: {}\n")
    ended = run("check", ".")
    assert ended.code == 2 and "broken.yaml" in ended.err and "spec.yaml: 4 stages" in ended.out
    (tmp_path / "empty").mkdir()
    assert "E101" in run("check", "empty").err


def test_help_texts_show_their_defaults(run):
    assert "Default: $ASTRO_STORE, else .astro." in run("plan", "--help").out


def test_verdicts_take_an_outcome_by_name():
    assert Verdict("correct").correct and Verdict("correct").outcome is Outcome.CORRECT
    with pytest.raises(ValueError, match="correkt"):
        Verdict("correkt")
