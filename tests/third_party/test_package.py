"""A package of somebody else adds a stage kind, a verifier, a search policy and an engine, and a spec uses all four."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from astro_factory.core.errors import UserError
from astro_factory.core.tables import read_table
from astro_factory.plan.records import make_record, record_key
from astro_factory.spec import compile_spec
from astro_factory.spec.schema import spec_schema

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
GUIDE = ROOT / "docs/guide/extending.md"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the package, installed by pip without a network, importable here and in subprocesses."""
    folder = tmp_path_factory.mktemp("installed")
    source = shutil.copytree(HERE / "package", folder / "source")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(folder / "site"), str(source)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder / "site")
        yield folder / "site"
    for name in [name for name in sys.modules if name.partition(".")[0] == "reversal"]:
        del sys.modules[name]


@pytest.fixture
def spec(site, tmp_path):
    """The spec that uses the package."""
    return shutil.copytree(HERE / "spec", tmp_path / "specs") / "reversal.yaml"


def edit(spec: Path, old: str, new: str) -> Path:
    text = spec.read_text()
    assert old in text
    spec.write_text(text.replace(old, new))
    return spec


def test_a_spec_that_uses_all_four_is_built_to_the_end(site, spec, tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(site)]), "HF_HUB_OFFLINE": "1"}
    store = ["--store", str(tmp_path / "store")]

    def program(*arguments: str) -> str:
        command = [sys.executable, "-m", "astro_factory", *arguments, *store]
        result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    program("build", str(spec))
    folder = Path(program("show", f"{spec}:short", "--path").strip())
    traces = read_table(folder / "traces.parquet")
    answers = [trace["messages"][-1]["content"].splitlines()[-1] for trace in traces]
    assert sorted(answers) == ["answer nedrag", "answer revlis", "answer teloiv", "answer tenalp"]
    plan = json.loads(program("plan", str(spec), "--json"))
    assert {node["status"] for node in plan["stages"]} == {"hit"}


USED_BY = {
    "sloppy": {"trees"},
    "until_correct": {"trees"},
    "shortest": {"short"},
    "verifier": {"words"},
    "__init__": {"words", "trees", "short"},
}


@pytest.mark.parametrize("module", USED_BY)
def test_its_source_counts_in_the_keys_of_what_uses_it(site, spec, module):
    def keys() -> dict[str, str]:
        contents = defaultdict(lambda: "content")
        return {name: record_key(make_record(node, contents, {})) for name, node in compile_spec(spec).nodes.items()}

    before, file = keys(), site / "reversal" / f"{module}.py"
    text = file.read_text()
    try:
        file.write_text(text + "\n# changed\n")
        after = keys()
    finally:
        file.write_text(text)
    assert {name for name in before if before[name] != after[name]} == USED_BY[module]
    assert keys() == before


MISTAKES = {
    "unknown engine": ("kind: sloppy", "kind: slopy", "E114"),
    "unknown policy": ("kind: until_correct", "kind: until_corect", "E114"),
    "unknown stage": ("kind: shortest", "kind: shorted", "E114"),
    "unknown verifier": ("verifier: reversal", "verifier: reversals", "E401"),
    "unknown key of an engine": ("mistakes: 0.6", "mistake: 0.6", "E104"),
    "unknown key of a policy": ("attempts: 12", "atempts: 12", "E104"),
    "unknown key of a stage": ("kind: shortest,", "kind: shortest, per_problems: 1,", "E104"),
    "value of an engine": ("mistakes: 0.6", "mistakes: 6", "E115"),
    "value of a policy": ("attempts: 12", "attempts: many", "E115"),
    "policy in place": ("policy: patient", "policy: {kind: until_correct, attempts: 0}", "E115"),
}


@pytest.mark.parametrize(("old", "new", "code"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_reported_as_those_of_built_in_kinds(spec, old, new, code, golden):
    with pytest.raises(UserError) as caught:
        compile_spec(edit(spec, old, new))
    (found,) = caught.value.diagnostics
    assert found.code == code and found.place and found.place.line
    golden(f"{found.code} {found.cause}; {found.remedy}")


def test_the_schema_documents_it(site):
    definitions = spec_schema()["$defs"].values()
    documented = {
        entry["properties"]["kind"]["const"]: entry["properties"]
        for entry in definitions
        if "const" in entry.get("properties", {}).get("kind", {})
    }
    assert documented["shortest"]["per_problem"]["description"] == "How many traces of a problem to keep."
    assert documented["until_correct"]["attempts"]["description"] == "Most rollouts of a problem."
    assert documented["sloppy"]["mistakes"]["description"] == "Probability of a wrong letter in a response."


def test_nothing_of_it_is_imported_before_a_spec_uses_it(site, tmp_path):
    spec = tmp_path / "plain.yaml"
    spec.write_text("factory: 1\nname: plain\nstages: {drill: {kind: practice, count: 1}}\n")
    code = (
        "import sys; from pathlib import Path; from astro_factory.spec import compile_spec\n"
        f"compile_spec(Path({str(spec)!r}))\n"
        "sys.exit('reversal' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(site)])}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0


FILES = [*HERE.glob("package/reversal/*.py"), HERE / "package/pyproject.toml"]
SOURCES = [path.read_text() for path in FILES]
BLOCKS = re.findall(r"^```(?:python|toml)\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_the_code_of_the_guide_is_that_of_the_package(block):
    parts = [part.strip("\n") for part in re.split(r"^ *(?:#|) ?…$", block, flags=re.MULTILINE)]
    assert any(all(part in text for part in parts) for text in SOURCES), block
