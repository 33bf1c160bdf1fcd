"""A user's first steps: `init`, `check`, and a smoke build of the spec to begin with."""

import json
import subprocess
import sys

import pytest

from astro_factory.core.shipped import make_workspace
from astro_factory.spec import compile_spec


@pytest.mark.parametrize("profile", [None, "smoke"])
def test_the_spec_to_begin_with_has_no_errors(tmp_path, profile):
    make_workspace(tmp_path / "mine")
    graph = compile_spec(tmp_path / "mine/specs/my_problems.yaml", profile=profile)
    assert not graph.warnings


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_smoke_build_runs_every_stage_and_then_none(tmp_path):
    make_workspace(tmp_path / "mine")
    command = [sys.executable, "-m", "astro_factory", "build", "specs/my_problems.yaml", "--profile", "smoke", "--json"]
    for outcome in ("ran", "hit"):
        result = subprocess.run(command, cwd=tmp_path / "mine", capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
        assert {stage["outcome"] for stage in json.loads(result.stdout)["stages"]} == {outcome}
