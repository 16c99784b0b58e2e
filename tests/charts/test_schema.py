"""The schema of the chart's values follows values.yaml and the settings, and refuses what is neither."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from charts import schema
from spe.settings import Settings
from tests.charts.understood import understood

VALUES: dict[str, Any] = yaml.safe_load((schema.CHART / "values.yaml").read_text())
CASES = sorted((schema.CHART / "ci").glob("*-values.yaml"))


def _refused(values: dict[str, Any]) -> str:
    with pytest.raises(jsonschema.ValidationError) as caught:
        jsonschema.Draft7Validator(schema.schema()).validate(values)
    return f"{'.'.join(map(str, caught.value.absolute_path))}: {caught.value.message}"


def test_the_committed_schema_is_current() -> None:
    assert json.loads(schema.FILE.read_text()) == schema.schema(), "run `make requirements`"


def test_the_defaults_and_every_example_fit() -> None:
    validator = jsonschema.Draft7Validator(schema.schema())
    validator.check_schema(schema.schema())
    validator.validate(VALUES)
    for case in CASES:
        validator.validate(yaml.safe_load(case.read_text()))


def test_every_setting_is_there_but_those_that_the_chart_decides() -> None:
    members = schema.schema()["properties"]["config"]["properties"]
    assert set(members) == set(Settings.model_fields) - schema.DECIDED
    assert all(member.get("description") for member in members.values())


def test_what_is_not_known_is_refused() -> None:
    assert "portal: Additional properties" in _refused({"portal": {"replicas": 3}})
    assert "Additional properties" in _refused({"repicaCount": 3})
    assert "Additional properties" in _refused({"config": {"database_url": "postgresql://u:p@h/d"}})
    assert "image.digest" in _refused({"image": {"digest": "latest"}})
    assert "portal.replicaCount" in _refused({"portal": {"replicaCount": 0}})
    assert "hosts.portal" in _refused({"hosts": {"portal": "https://portal.example.org"}})


def test_a_secret_setting_has_no_place_in_values() -> None:
    found = schema.without_secrets(
        {"properties": {"key": {"type": "string", "writeOnly": True}, "url": {"type": "string"}}}
    )
    assert found == {"properties": {"url": {"type": "string"}}}


def test_every_value_that_a_template_reads_has_a_default() -> None:
    read: set[str] = set()
    for template in (schema.CHART / "templates").rglob("*"):
        if template.is_file():
            read |= set(re.findall(r"\.Values\.([A-Za-z0-9.]+)", template.read_text()))
    for path in sorted(read):
        value: Any = VALUES
        for name in path.rstrip(".").split("."):
            assert name in value, f"{path} has no default in values.yaml"
            value = value[name]


def test_the_chart_says_nothing_of_any_machine() -> None:
    for file in Path(schema.CHART).rglob("*"):
        if file.is_file():
            hosts = set(re.findall(r"https?://([A-Za-z0-9.-]+)", file.read_text()))
            own = {"host", "hub", "portal", "portal-internal", "proxy", "checker", "json-schema.org", "127.0.0.1"}
            assert not {h for h in hosts if not h.endswith("example.org")} - own, file


def test_an_older_chart_is_not_told_what_it_does_not_know() -> None:
    values = {
        "later": {"enabled": True},
        "image": {"repository": "spe", "later": 1},
        "config": {"later": "", "s3": {"region": "r", "later": 1}, "kubernetes": {"host_folders": True, "later": 1}},
        "portal": {"resources": {"limits": {"memory": "1Gi"}}},
    }
    assert understood(values, schema.schema()) == {
        "image": {"repository": "spe"},
        "config": {"s3": {"region": "r"}, "kubernetes": {"host_folders": True}},
        "portal": {"resources": {"limits": {"memory": "1Gi"}}},
    }
