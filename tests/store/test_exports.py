"""Exports travel whole, or are refused with nothing taken."""

import os
import tarfile
from pathlib import Path

import pytest

from astro_factory.core.canonical import digest
from astro_factory.core.errors import UserError
from astro_factory.core.results import Result
from astro_factory.stages.validation import output_fault
from astro_factory.store import Store
from astro_factory.store.exports import Export, write_export
from astro_factory.store.transfer import import_result

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def made(store: Store, number: int, *names: str) -> Result:
    """A result with one file of its own for each name."""
    folder = store.root.parent / f"out-{number}"
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(f"{name} of {number}\n".encode() * 500)
    return store.commit(digest({"n": number}), {"n": number}, folder, {"seconds": 1.0})


@pytest.fixture
def export(tmp_path) -> tuple[Path, Result, Result]:
    """A file with one result as a whole and the record of one before it."""
    store = Store(tmp_path / "theirs")
    whole, record = made(store, 1, "a.txt", "b.txt"), made(store, 2, "c.txt")
    path = tmp_path / "shared/export.tar"
    size = write_export(store, path, [whole], [record])
    assert size == path.stat().st_size and list(path.parent.iterdir()) == [path]
    return path, whole, record


def test_round_trip(export, tmp_path):
    path, whole, record = export
    assert Export(path).results() == {whole.key: whole, record.key: record}
    assert Export(path).has_blobs(whole) and not Export(path).has_blobs(record)
    ours = Store(tmp_path / "ours")
    for result in (whole, record):
        import_result(ours, Export(path), result, output_fault, with_files=result is whole)
    assert ours.result(whole.key) == whole and ours.has_blobs(whole)
    assert (ours.output(whole) / "b.txt").read_bytes() == b"b.txt of 1\n" * 500
    assert ours.result(record.key) == record and not ours.has_blobs(record)
    assert list((ours.root / "staging").iterdir()) == []


def test_equal_exports_are_equal_bytes(export, tmp_path):
    path, whole, record = export
    write_export(Store(tmp_path / "theirs"), tmp_path / "again.tar", iter([whole]), iter([record, whole]))
    assert (tmp_path / "again.tar").read_bytes() == path.read_bytes()


def test_a_flipped_bit_is_refused(export, tmp_path, golden):
    path, whole, _ = export
    data = bytearray(path.read_bytes())
    with tarfile.open(path) as tar:
        member = tar.getmember(f"blobs/{whole.outputs['a.txt']['sha256']}")
    data[member.offset_data + 7] ^= 1
    path.write_bytes(data)
    ours = Store(tmp_path / "ours")
    with pytest.raises(UserError) as caught:
        import_result(ours, Export(path), whole, output_fault)
    (found,) = caught.value.diagnostics
    assert found.code == "E131" and whole.outputs["a.txt"]["sha256"][:12] in found.cause
    golden(str(found))
    assert ours.result(whole.key) is None and list((ours.root / "staging").iterdir()) == []


def test_a_cut_file_is_refused_wherever_it_is_cut(export, tmp_path):
    path, whole, _ = export
    data = path.read_bytes()
    for number, size in enumerate(range(0, len(data) - 10240, 700)):
        path = tmp_path / f"cut-{number}.tar"
        path.write_bytes(data[:size])
        ours = Store(tmp_path / f"ours-{number}")
        try:
            offered = Export(path).results()
            for result in offered.values():
                if Export(path).has_blobs(result):
                    import_result(ours, Export(path), result, output_fault)
        except UserError as error:
            assert error.diagnostics[0].code in ("E130", "E131")
        else:
            assert whole.key not in offered or not Export(path).has_blobs(whole)
        assert ours.result(whole.key) is None or ours.has_blobs(whole)


@pytest.mark.parametrize("content", [b"no tar at all", b""])
def test_what_is_no_export(tmp_path, content, golden):
    path = tmp_path / "x.tar"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"E130 'x.tar'") as caught:
        Export(path).results()
    golden(str(caught.value))


def test_a_result_of_another_record_is_refused(export, golden):
    path = export[0]
    data = path.read_bytes().replace(b'"n": 1', b'"n": 7')
    assert data != path.read_bytes()
    path.write_bytes(data)
    with pytest.raises(UserError, match="E130") as caught:
        Export(path).results()
    golden(str(caught.value))


def test_a_replaced_file_is_read_anew(export, tmp_path):
    path, _, record = export
    assert len(Export(path).results()) == 2
    write_export(Store(tmp_path / "theirs"), path, [record], [])
    os.utime(path, ns=(1, 1))
    assert list(Export(path).results()) == [record.key]


def test_importing_twice_at_once(export, tmp_path):
    path, whole, _ = export
    children = []
    for _ in range(3):
        child = os.fork()
        if not child:
            import_result(Store(tmp_path / "ours"), Export(path), whole, output_fault)
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 3
    assert Store(tmp_path / "ours").has_blobs(whole)
