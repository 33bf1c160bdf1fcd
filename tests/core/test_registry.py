"""Names that other packages add through entry points."""

import sys

import pytest
from pydantic import TypeAdapter

from astro_factory.core.errors import UserError
from astro_factory.engines.config import ENGINES, EngineConfig
from astro_factory.stages import load_kind
from astro_factory.verifiers.registry import VERIFIERS

KIND = """
from typing import Literal
from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.config import StageConfig
OUTPUT, VERSION, HEAVY = ArtifactType.TRACES, 1, False
class Config(StageConfig):
    kind: Literal["guest"]
def run(ctx, config): ...
"""
BROKEN = {
    "no module": ("guest_kind", None),
    "broken source": ("guest_kind", "def (:"),
    "raises": ("guest_kind", "1 / 0"),
    "an object": ("guest_kind:run", KIND),
    "incomplete": ("guest_kind", KIND.replace("def run", "def walk").replace("VERSION", "NUMBER")),
    "another base": ("guest_kind", KIND.replace("(StageConfig)", "")),
    "another kind": ("guest_kind", KIND.replace('"guest"', '"host"')),
}


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Lets an installed package define a name of an entry-point group."""

    def installed(group: str, name: str, target: str, package: str = "guests") -> None:
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {target}\n")

    monkeypatch.syspath_prepend(tmp_path)
    yield installed
    for name in [name for name in sys.modules if name.startswith("guest")]:
        del sys.modules[name]


@pytest.mark.parametrize(("target", "source"), BROKEN.values(), ids=BROKEN)
def test_a_kind_that_cannot_be_loaded(target, source, tmp_path, install, golden):
    if source:
        (tmp_path / "guest_kind.py").write_text(source)
    install("astro_factory.stages", "guest", target)
    with pytest.raises(UserError, match="E124") as error:
        load_kind("stages", "guest")
    golden(str(error.value))


def test_a_name_that_two_packages_define(install, golden):
    for package in ("guests", "visitors"):
        install("astro_factory.verifiers", "chess", f"{package}.chess:Chess", package)
        assert "chess" in VERIFIERS.names()
    with pytest.raises(UserError, match="E125") as error:
        VERIFIERS.target("chess")
    golden(str(error.value))


def test_a_name_that_one_package_defines_twice_alike_is_one(install):
    for package in ("guests", "guests_editable"):
        install("astro_factory.verifiers", "chess", "guests.chess:Chess", package)
    assert VERIFIERS.target("chess") == "guests.chess:Chess"


def test_a_built_in_name_stays_built_in(install):
    install("astro_factory.engines", "vllm", "guest_engine")
    assert ENGINES.target("vllm") == "astro_factory.engines.vllm_engine:VllmEngine"
    assert "vllm" not in ENGINES.added()


def test_an_open_union_reports_what_cannot_be_loaded(install):
    install("astro_factory.engines", "guest", "guest_engine")
    with pytest.raises(ValueError, match="engine 'guest' cannot be loaded"):
        TypeAdapter(EngineConfig).validate_python({"kind": "guest"})
