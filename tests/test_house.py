"""The rules of docs/architecture.md, read from the source: layers, light imports, sizes, documentation."""

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from astro_factory.cli.main import GROUPS
from astro_factory.core.config import documentation
from astro_factory.stages import KINDS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "astro_factory"
MODULES = sorted(PACKAGE.rglob("*.py"))
# A package imports itself and those below it in this table.
PACKAGES = re.findall(r"^\| `(\w+)/` \|", (ROOT / "docs/architecture.md").read_text(encoding="utf-8"), re.MULTILINE)
HEAVY = {"torch", "transformers", "trl", "vllm", "datasets", "accelerate", "deepspeed", "ray"}
# Only modules of these packages may import them at the top; other modules import such a module inside a function.
HEAVY_PACKAGES = {"engines", "training"}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(nodes: Iterator[ast.AST]) -> Iterator[tuple[str, int]]:
    """Every absolute module name that is imported, with its line."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}"
            yield node.module, node.lineno
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def outside_functions(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when the module is imported; `if TYPE_CHECKING:` does not."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from outside_functions(node)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_module_keeps_the_rules(path):
    tree, text = parsed(path), path.read_text(encoding="utf-8")
    faults = []
    package = path.relative_to(PACKAGE).parts[0]
    for name, line in imported(ast.walk(tree)):
        target = name.split(".")[1] if name.startswith("astro_factory.") else None
        if target in PACKAGES and package in PACKAGES and PACKAGES.index(target) < PACKAGES.index(package):
            faults.append(f"line {line}: {package} imports {target}, which is above it in docs/architecture.md")
    for name, line in imported(outside_functions(tree)):
        if name.split(".")[0] in HEAVY and package not in HEAVY_PACKAGES:
            faults.append(f"line {line}: imports {name} at module level")
    if (length := text.count("\n")) > 400:
        faults.append(f"{length} lines; 400 at most")
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno - node.lineno >= 80:
            faults.append(f"line {node.lineno}: {node.name} has {node.end_lineno - node.lineno + 1} lines; 80 at most")
    if not ast.get_docstring(tree):
        faults.append("no module docstring")
    assert not faults, "\n".join(dict.fromkeys(faults))


def test_the_architecture_page_names_every_package():
    assert sorted(PACKAGES) == sorted(
        {path.relative_to(PACKAGE).parts[0] for path in MODULES if path.parent != PACKAGE}
    )


def heavy_modules() -> set[str]:
    """The modules of the heavy packages whose import loads a heavy library, directly or through one another."""
    imports = {
        module_name(path): {name for name, _ in imported(outside_functions(parsed(path)))}
        for path in MODULES
        if path.relative_to(PACKAGE).parts[0] in HEAVY_PACKAGES
    }
    heavy: set[str] = set()
    while more := {
        name
        for name, targets in imports.items()
        if name not in heavy and (targets & heavy or {target.split(".")[0] for target in targets} & HEAVY)
    }:
        heavy |= more
    return heavy


def test_nothing_else_loads_a_heavy_library():
    """Runs in a new process: a plan, a pull or a build without work starts fast and needs no torch."""
    names = sorted({module_name(path) for path in MODULES} - heavy_modules() - {"astro_factory.__main__"})
    code = (
        "import importlib, sys\n"
        f"for name in {names!r}:\n"
        "    importlib.import_module(name)\n"
        f"    if found := {HEAVY!r} & set(sys.modules): sys.exit(f'importing {{name}} loads {{sorted(found)}}')"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


KIND_MODULES = sorted(module for kinds in KINDS.values() for module in kinds.values())


@pytest.mark.parametrize("name", KIND_MODULES)
def test_kind_is_complete(name):
    """A kind's module defines what the runtime needs, and documents every field of its configuration."""
    module = importlib.import_module(name)
    assert {"Config", "OUTPUT", "VERSION", "HEAVY", "run"} <= set(vars(module))
    undocumented = [
        f"{model.__module__}.{model.__name__}.{field}"
        for model in models_in(module.Config)
        for field in model.model_fields
        if field != "kind" and not documentation(model).get(field)
    ]
    assert not undocumented, undocumented


def test_the_guide_names_every_kind():
    text = (ROOT / "docs/guide/specs.md").read_text(encoding="utf-8")
    assert not [kind for kinds in KINDS.values() for kind in kinds if f"`{kind}`" not in text]


def test_the_table_of_commands_is_complete():
    for group, names in GROUPS.items():
        found = importlib.import_module(f"astro_factory.cli.{group}").COMMANDS
        assert names == tuple(command.__name__.rstrip("_").replace("_", "-") for command in found)


def test_every_command_in_the_readme_exists():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    used = set(re.findall(r"(?:^|`)astro-factory +([a-z][\w-]+)", text, re.MULTILINE))
    assert used <= {name for names in GROUPS.values() for name in names}


PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_are_valid(page):
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text(encoding="utf-8")):
        path = page.parent / target if target else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), f"{target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as the site names them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    given = {found[1] for heading in headings if (found := re.search(r"\{: #([\w-]+) \}", heading))}
    return given | {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip()) for heading in headings}


def models_in(annotation: Any, seen: frozenset = frozenset()) -> Iterator[type[BaseModel]]:
    """The Pydantic models in an annotation, at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation not in seen:
            yield annotation
            for info in annotation.model_fields.values():
                yield from models_in(info.annotation, seen | {annotation})
    else:
        for part in get_args(annotation):
            yield from models_in(part, seen)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_vllm_engine_in_its_own_environment():
    """vLLM pins other versions than we use, so its tests run in `.venv-vllm`; the nightly ones do not."""
    python = ROOT / ".venv-vllm/bin/python"
    if not python.exists():
        pytest.skip("there is no .venv-vllm; `make vllm-setup` makes it")
    tests = ["tests/engines/test_vllm.py", "tests/engines/test_vllm_trees.py", "tests/training/test_vllm_rehearsals.py"]
    command = [python, "-m", "pytest", "-p", "no:cacheprovider", "--timeout=800", "-m", "not nightly", *tests]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-8000:]
