"""The code that a spec names: what `check` says of it without importing it, and whose it is."""

from pathlib import Path

import pytest

from astro_factory.core.errors import UserError
from astro_factory.spec import compile_spec

SPEC = """
factory: 1
name: own
models: {{base: {{kind: init}}}}
engines: {{own: {{kind: python, target: "{engine}"}}}}
search_policies: {{own: {{kind: python, target: "{policy}", max_samples: 4{pinned}}}}}
problems: {{train: {{kind: file, path: problems.jsonl, verifier: "{verifier}"}}}}
stages: {{trees: {{kind: search, policy: own, model: base, engine: own, problems: train}}}}
"""
GOOD = {"engine": "own_code_a:Engine", "policy": "own_code_a:grow", "verifier": "math", "pinned": ""}
CODE = """
raise RuntimeError("check imports nothing")

class Engine:
    def __init__(self, options, folder): ...

class Short:
    def __init__(self, options): ...

def grow(builder, config): ...

def bare(): ...
"""
CASES = {
    "all is there": ({}, []),
    "a misspelt engine": ({"engine": "own_code_a:Engin"}, [("E605", 0, "did you mean 'Engine'?")]),
    "an engine without arguments": ({"engine": "own_code_a:Short"}, [("E605", 8, "extending.md")]),
    "a misspelt policy": ({"policy": "own_code_a:grown"}, [("E611", 0, "did you mean 'grow'?")]),
    "a policy without arguments": ({"policy": "own_code_a:bare"}, [("E611", 12, "extending.md")]),
    "a misspelt module": ({"policy": "own_code_b:grow"}, [("W106", 6, "did you mean 'own_code_a'?")]),
    "no such module": ({"verifier": "python:nowhere:Mine"}, [("W106", 7, "beside the spec")]),
    "a library of that name": ({"engine": "typing:Engine"}, [("E605", 5, "rename")]),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    return tmp_path


def write(folder: Path, **values: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "problems.jsonl").write_text('{"question": "1 + 1?", "answer": "2"}\n')
    (folder / "own_code_a.py").write_text(CODE)
    (folder / "spec.yaml").write_text(SPEC.format(**GOOD | values))
    return folder / "spec.yaml"


@pytest.mark.parametrize("case", CASES)
def test_what_the_source_shows_is_reported_at_its_place(case, folder):
    values, expected = CASES[case]
    (folder / "typing.py").write_text(CODE)
    spec = write(folder, **values)
    try:
        found = list(compile_spec(spec).warnings)
    except UserError as error:
        found = error.diagnostics
    assert [(f.code, f.place.line) for f in found] == [(code, line) for code, line, _ in expected]
    assert all(remedy in f.remedy for f, (_, _, remedy) in zip(found, expected, strict=True))


def test_a_digest_counts_unless_the_spec_states_a_version(folder):
    engine, policy = compile_spec(write(folder)).nodes["trees"].code
    assert engine.role == "engine" or policy.role == "engine"
    assert engine.digest == policy.digest != ""
    pinned = compile_spec(write(folder, pinned=", code: '3'")).nodes["trees"].code
    assert {code.role: bool(code.digest) for code in pinned} == {"engine": True, "search policy": False}


def owners(spec: Path) -> set[str]:
    return {code.publication for code in compile_spec(spec).nodes["trees"].code}


def test_code_is_of_a_publication_if_its_spec_or_its_file_is(folder):
    assert owners(write(folder)) == {""}
    pulled = folder / "pulled"
    theirs = write(pulled / "astro")
    (pulled / "astro/manifest.json").write_text("{}")
    assert owners(theirs) == {"pulled"}
    theirs.write_text(theirs.read_text().replace("own_code_a", "subprocess"))  # importable anywhere
    (pulled / "astro/own_code_a.py").rename(folder / "elsewhere.py")
    with pytest.raises(UserError):
        owners(theirs)
    (folder / "link.yaml").symlink_to(theirs)
    theirs.write_text(SPEC.format(**GOOD | {"engine": "subprocess:Popen", "policy": "subprocess:run"}))
    assert owners(folder / "link.yaml") == owners(theirs) == {"pulled"}


def test_code_that_an_included_file_or_a_link_names_is_of_its_publication(folder):
    pulled = folder / "pulled/astro"
    write(pulled)
    (pulled / "manifest.json").write_text("{}")
    (pulled / "engines.yaml").write_text('engines: {own: {kind: python, target: "own_code_a:Engine"}}\n')
    spec = write(folder)
    lines = [line for line in spec.read_text().splitlines() if not line.startswith("engines:")]
    spec.write_text("\n".join([*lines, "include: [pulled/astro/engines.yaml]\n"]))
    found = {code.role: code.publication for code in compile_spec(spec).nodes["trees"].code}
    assert found == {"engine": "pulled", "search policy": ""}
    (folder / "own_code_a.py").unlink()
    (folder / "own_code_a.py").symlink_to(pulled / "own_code_a.py")
    assert owners(write_spec_only(folder)) == {"pulled"}


def write_spec_only(folder: Path) -> Path:
    (folder / "spec.yaml").write_text(SPEC.format(**GOOD))
    return folder / "spec.yaml"


@pytest.mark.parametrize(("name", "is_one"), [("pulled/astro/manifest.json", True), ("copied/spec.yaml", False)])
def test_a_copy_of_the_recipe_is_still_of_its_publication(folder, name, is_one):
    spec = write(folder / name.partition("/")[0])
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    if is_one:
        (folder / name).write_text("{}")
    assert bool(owners(spec).pop()) == is_one
    (spec.parent / "manifest.json").write_text("{}")
    assert owners(spec) == {spec.parent.name}
