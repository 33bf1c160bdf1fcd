import pytest

from astro_factory.json_shapes import JSON_SHAPES, json_schema


@pytest.mark.parametrize("name", JSON_SHAPES)
def test_every_field_of_every_shape_is_documented(name):
    schema = json_schema(name)
    for part in (schema, *schema.get("$defs", {}).values()):
        assert part["description"]
        assert not [field for field, about in part.get("properties", {}).items() if not about.get("description")]
