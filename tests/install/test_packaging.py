"""What is installed: the wheel's files, the extras, the constraints, the images.

The environments that take minutes to fill are nightly. One of them has only the base dependencies.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from astro_factory.core.shipped import versions_tested
from tests.install.constraints import OURS, ROOT, closure, declared, write

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
EXTRAS = ("train", "gguf", "gym", "vllm", "deepspeed", "ray", "s3", "inspect", "harness", "report", "track")
MACOS = {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64", "os_name": "posix"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    build = "from hatchling.build import build_wheel; import sys; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(folder)], cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def data_files(*folders: Path) -> set[str]:
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}


@pytest.mark.slow
def test_the_wheel_has_every_file_and_no_other(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    shipped = data_files(ROOT / "specs", ROOT / "templates")
    shipped |= {"constraints.txt", "constraints-vllm.txt", "docs/reference/errors.md"}
    assert names == data_files(ROOT / "astro_factory") | {f"astro_factory/_data/{name}" for name in shipped}


@pytest.mark.slow
def test_an_unpacked_wheel_finds_its_files(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = (
        "from astro_factory.core.shipped import shipped_folder, versions_tested\n"
        "print(shipped_folder('specs')); print(shipped_folder('templates')); print(versions_tested(False)['torch'])"
    )
    found = succeeds([sys.executable, "-c", code], cwd=tmp_path / "site").split()
    data = tmp_path / "site/astro_factory/_data"
    assert found == [str(data / "specs"), str(data / "templates"), versions_tested(False)["torch"]]


def requirements_of(extra: str, environment: dict[str, str]) -> set[str]:
    """The names of the packages that an extra installs directly, with those of the extras that it includes."""
    found = set()
    for requirement in map(Requirement, declared(extra)):
        if requirement.name == OURS:
            found |= {name for more in requirement.extras for name in requirements_of(more, environment)}
        elif requirement.marker is None or requirement.marker.evaluate({**environment, "extra": extra}):
            found.add(canonicalize_name(requirement.name))
    return found


@pytest.mark.parametrize(
    ("extra", "package"), [("vllm", "vllm"), ("deepspeed", "deepspeed"), ("quantize", "bitsandbytes")]
)
def test_packages_that_exist_for_linux_alone_are_left_out_on_macos(extra, package):
    assert requirements_of(extra, MACOS) == requirements_of("train", MACOS)
    assert requirements_of(extra, {"sys_platform": "linux"}) == requirements_of("train", MACOS) | {package}


@pytest.mark.parametrize(
    ("vllm", "extras"),
    [
        (False, ("", "train", "gguf", "gym", "deepspeed", "ray", "s3", "inspect", "harness", "report")),
        (True, ("", "train")),
    ],
)
def test_constraints_hold_every_declared_package_within_its_range(vllm, extras):
    tested = versions_tested(vllm)
    for requirement in (Requirement(text) for extra in extras for text in declared(extra)):
        if requirement.name != OURS:
            assert requirement.specifier.contains(tested[canonicalize_name(requirement.name)])


def test_constraints_are_what_is_installed(tmp_path):
    """A file can be read back, and holds what the declared packages need in their turn."""
    write(tmp_path / "constraints.txt", ["report"])
    lines = (tmp_path / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#")] == [f"{k}=={v}" for k, v in closure(["report"]).items()]
    assert {"numpy", "mpmath", "markupsafe"} <= closure([]).keys()
    assert "torch" not in closure([]) and OURS not in closure(["vllm"])


def run_lines(target: str) -> list[str]:
    """The RUN commands of one stage of the Dockerfile."""
    stages = re.split(r"^FROM \S+ AS ", DOCKERFILE, flags=re.MULTILINE)
    body = next(stage for stage in stages if stage.startswith(f"{target}\n"))
    return re.findall(r"^RUN (.+)$", body, re.MULTILINE)


@pytest.mark.parametrize(("target", "file"), [("cpu", "constraints.txt"), ("cuda", "constraints-vllm.txt")])
def test_images_install_known_extras_with_the_versions_tested(target, file):
    install, version = (shlex.split(line) for line in run_lines(target))
    assert install[:2] == ["pip", "install"] and install[install.index("--constraint") + 1] == file
    (extras,) = (re.fullmatch(r"\.\[(.+)\]", word)[1] for word in install if word.startswith("."))
    assert set(extras.split(",")) <= set(EXTRAS)
    assert version == ["astro-factory", "--version"]
    assert f"FROM source AS {target}\n" in DOCKERFILE


def test_the_development_container_uses_a_stage_and_a_target_that_exist():
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text(encoding="utf-8"))
    build = container["build"]
    file = ROOT / ".devcontainer" / build["dockerfile"]
    assert file.resolve() == ROOT / "Dockerfile"
    assert f" AS {build['target']}\n" in DOCKERFILE
    make, target = container["postCreateCommand"].split()
    assert make == "make" and f"\n{target}:" in (ROOT / "Makefile").read_text(encoding="utf-8")


def fresh_environment(folder: Path) -> Path:
    """A new virtual environment; its folder of programs."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    return folder / "bin"


def succeeds(command: list[str | Path], **options: object) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, **options)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_the_wheel_works_in_an_empty_environment(wheel, tmp_path):
    programs = fresh_environment(tmp_path / "venv")
    succeeds([programs / "pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel])
    assert not list((tmp_path / "venv").glob("lib/*/site-packages/torch"))
    ours = programs / "astro-factory"
    assert succeeds([ours, "--version"], cwd=tmp_path).startswith("astro-factory ")
    succeeds([ours, "init", "mine"], cwd=tmp_path)
    for command in (["check", "mine/specs"], ["plan", "mine/specs/quickstart.yaml", "--offline"], ["presets"]):
        succeeds([ours, *command], cwd=tmp_path)
    schema = succeeds([ours, "schema"], cwd=tmp_path)
    assert schema == (ROOT / "specs/astro-factory.schema.json").read_text(encoding="utf-8")
    shell = "COMP_WORDS='astro-factory expl' COMP_CWORD=1 _ASTRO_FACTORY_COMPLETE=complete_bash"
    assert succeeds(["bash", "-c", f"{shell} {ours}"], cwd=tmp_path).split() == ["explain-error", "explain"]
    findings = json.loads(succeeds([ours, "doctor", "--json"], cwd=tmp_path))["findings"]
    assert "every package" in next(one["text"] for one in findings if one["name"] == "tested")


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_the_lines_of_the_cpu_image_run_in_a_fresh_environment(tmp_path):
    """In a copy of the files that git knows, as in the image. The packages of Debian are not installed again."""
    source = tmp_path / "src"
    listed = succeeds(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT).splitlines()
    for name in (name for name in listed if (ROOT / name).is_file()):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    programs = fresh_environment(tmp_path / "venv")
    for line in run_lines("cpu"):
        program, *arguments = shlex.split(line)
        succeeds([programs / program, *arguments], cwd=source)
    command = [programs / "astro-factory", "doctor", "--json"]
    findings = json.loads(subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout)["findings"]
    assert "every package" in next(one["text"] for one in findings if one["name"] == "tested")


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize("platform", ["x86_64-manylinux_2_28", "aarch64-apple-darwin"])
def test_every_extra_resolves(extra, platform, tmp_path, monkeypatch):
    """By uv, which resolves for other platforms; pip evaluates markers for its own machine alone."""
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("there is no uv; `pip install uv` installs it")
    monkeypatch.setenv("MACOSX_DEPLOYMENT_TARGET", "14.0")
    command = [uv, "pip", "compile", "-q", "--python-platform", platform, "--python-version", "3.12"]
    found = succeeds([*command, "--extra", extra, str(ROOT / "pyproject.toml")], cwd=tmp_path)
    wanted = requirements_of(extra, MACOS if "darwin" in platform else {"sys_platform": "linux"})
    assert wanted <= {line.partition("==")[0] for line in found.splitlines()}
