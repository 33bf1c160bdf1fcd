"""Reading and writing `report.json` and `analysis.json`."""

import json

import pytest

from astro_factory.core.config import documentation
from astro_factory.core.errors import UserError
from astro_factory.evaluation.analysis import analysis_from_samples
from astro_factory.evaluation.report import report_from_samples
from astro_factory.evaluation.report_schema import Analysis, JsonFile, Layout, Report
from tests.evaluation.test_analysis import TEMPLATE
from tests.evaluation.test_report import comparison, rows_of


@pytest.fixture(params=[None, TEMPLATE], ids=["plain", "backtracks"])
def files(request) -> list[JsonFile]:
    rows = [r for arm in "abc" for i in range(3) for r in rows_of(arm, str(i), "cwvn", backtracks=[0, 1, 2, 0])]
    settings = {"compare": [["a", "b"]], "equal_tokens": [["a", "b"]], "backtracks": request.param}
    compared = comparison(4, ("a", "b", "c"), **settings)
    return [report_from_samples(rows, compared), analysis_from_samples(rows, compared)]


def test_a_file_reads_back_as_it_was_written(files, tmp_path):
    for content in files:
        (tmp_path / content.file_name).write_text(content.to_json(), encoding="utf-8")
        again = type(content).read(tmp_path)
        assert again == content and again.to_json() == content.to_json()
        assert again.schema_version == 1 and "schema_version" not in json.loads(content.to_json())


def test_fields_of_later_versions_are_ignored(files, tmp_path):
    report = files[0]
    (tmp_path / "report.json").write_text(json.dumps(json.loads(report.to_json()) | {"schema_version": 1, "new": 1}))
    assert Report.read(tmp_path) == report


@pytest.mark.parametrize("change", [{"schema_version": 2}, {"arms": []}, {"levels": {"easy": {"problems": "few"}}}])
def test_another_layout_is_a_user_error(files, change, tmp_path, golden):
    (tmp_path / "report.json").write_text(json.dumps(json.loads(files[0].to_json()) | change))
    with pytest.raises(UserError) as caught:
        Report.read(tmp_path)
    assert caught.value.diagnostics[0].code == "E807"
    golden(str(caught.value))


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b"[" * 5000, b'{"suite": '])
def test_what_is_no_report_is_a_user_error(data, tmp_path):
    (tmp_path / "analysis.json").write_bytes(data)
    with pytest.raises(UserError, match="E807"):
        Analysis.read(tmp_path)


def parts(model: type[Layout] = Layout):
    for part in model.__subclasses__():
        yield part
        yield from parts(part)


@pytest.mark.parametrize("model", sorted(set(parts()), key=lambda part: part.__name__), ids=lambda part: part.__name__)
def test_every_field_is_documented(model):
    assert set(documentation(model)) == set(model.model_fields)
