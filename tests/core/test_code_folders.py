"""Modules beside a spec are found and imported from there, and nothing else of the folder is."""

import sys

import pytest

from astro_factory.core import code_folders
from astro_factory.core.user_code import code_digest, import_target, source_files

FILES = {
    "beside_one.py": "from beside_two import WORD\nimport json\nNAME = WORD\n",
    "beside_two.py": "WORD = 'two'\n",
    "beside_unused.py": "raise RuntimeError('nothing names this')\n",
    "beside_package/__init__.py": "",
    "beside_package/part.py": "from beside_two import WORD\n",
    "code/beside_deep.py": "DEEP = 1\n",
    "json.py": "raise RuntimeError('a library comes first')\n",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.delenv(code_folders.VARIABLE, raising=False)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("beside_")]:
        del sys.modules[name]


@pytest.fixture
def found(folder):
    with code_folders.looking_in(code_folders.folders_of(folder)):
        yield folder


@pytest.mark.parametrize(
    ("module", "files"),
    [
        ("beside_one", ["beside_one", "beside_two"]),
        ("beside_package.part", ["beside_package", "beside_package.part", "beside_two"]),
        ("beside_deep", ["beside_deep"]),
    ],
)
def test_what_a_module_imports_from_its_folder_counts(found, module, files):
    assert list(source_files(module)) == files
    before = code_digest(f"{module}:NAME")
    for path in dict(source_files(module)).values():
        path.write_text(path.read_text() + "# edited\n")
        assert code_digest(f"{module}:NAME") != before


def test_a_module_of_the_folder_is_found_only_there(folder):
    assert code_digest("beside_one:NAME") == ""
    with code_folders.looking_in(code_folders.folders_of(folder)):
        assert code_digest("beside_one:NAME") != ""
    assert code_digest("beside_one:NAME") == ""


def test_an_installed_module_comes_first(found):
    assert code_folders.beside_spec("json") is None
    own, installed = code_folders.hidden("json")
    assert own == str((found / "json.py").resolve()) and installed != own
    assert code_folders.hidden("beside_one") is None


def test_only_listed_modules_can_be_imported(folder, monkeypatch):
    monkeypatch.setenv(code_folders.VARIABLE, "{}")
    with pytest.raises(ModuleNotFoundError):
        import_target("beside_one:NAME")
    listed = {"beside_one": str(folder), "beside_two": str(folder), "beside_package": str(folder)}
    for name, text in code_folders.code_variables(listed).items():
        monkeypatch.setenv(name, text)
    assert import_target("beside_one:NAME") == "two"
    assert import_target("beside_package.part:WORD") == "two"
    with pytest.raises(ModuleNotFoundError):
        import_target("beside_unused")
