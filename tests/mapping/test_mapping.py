"""Mappings: read and refused as a whole, and applied to rows and documents."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from server.mapping.files import MappingNotValid, mapping_of, read_mapping
from server.mapping.mapping import BadRow, ProfileMapping

DOCUMENT: dict[str, Any] = {
    "default_region": "VN",
    "ignore": ["password"],
    "fields": {
        "profile_id": "_key",
        "ext_id": {"from": "crm.id", "prefix": "crm-"},
        "identities": [{"from": "crm.id", "prefix": "crm:"}, {"from": "web", "split": ";", "prefix": "web:"}],
        "primary_email": "mail",
        "latitude": "geo.lat",
        "longitude": "geo.lon",
        "segments": {"from": "segments", "split": "|"},
        "portfolio_risk_score": {"from": "risk", "scale": 0.01},
        "portfolio_snapshot": "portfolio",
        "source_updated_at": {"from": "updated", "time": "unix_ms"},
    },
    "attributes": {"years": {"from": "age", "type": "integer"}, "vip": {"from": "is_vip", "type": "boolean"}},
    "channel_addresses": {"push": {"from": "tokens"}},
    "consents": [
        {"channel": "email", "from": "opt_in", "granted": ["Y"], "withdrawn": ["N"], "source": "crm"}
    ],
}


def test_a_document_becomes_columns_and_the_rest_attributes() -> None:
    mapped = ProfileMapping(mapping_of(DOCUMENT)).read(
        {
            "_key": 17,
            "crm": {"id": "9"},
            "web": "a; b;a",
            "mail": " a@example.com ",
            "geo": {"lat": "21.5", "lon": 105},
            "segments": ["vip", "new"],
            "risk": 25,
            "portfolio": '{"cash": 5}',
            "updated": 1_700_000_000_000,
            "age": "41",
            "is_vip": "yes",
            "tokens": ["t1", "t2"],
            "opt_in": "y",
            "password": "secret",
            "city": "Huế",
            "empty": "",
        }
    )
    assert mapped.fields == {
        "profile_id": "17",
        "ext_id": "crm-9",
        "identities": ["crm:9", "web:a", "web:b"],
        "primary_email": "a@example.com",
        "latitude": 21.5,
        "longitude": 105.0,
        "segments": ["vip", "new"],
        "portfolio_risk_score": 0.25,
        "portfolio_snapshot": {"cash": 5},
        "source_updated_at": datetime.fromtimestamp(1_700_000_000, UTC),
    }
    assert mapped.attributes == {"city": "Huế", "years": 41, "vip": True}
    assert mapped.channel_addresses == {"push": ["t1", "t2"]}
    assert [(each.channel, each.granted, each.source) for each in mapped.consents] == [("email", True, "crm")]


def test_a_column_whose_name_has_dots_is_found_first() -> None:
    mapping = ProfileMapping(mapping_of({"fields": {"profile_id": "a.b"}, "rest": "ignore"}))
    assert mapping.read({"a.b": "whole", "a": {"b": "path"}}).fields == {"profile_id": "whole"}
    assert mapping.read({"a": {"b": "path", "c": 1}}).fields == {"profile_id": "path"}
    assert mapping.read({"other": 1}).attributes == {}


def test_what_is_empty_says_nothing() -> None:
    mapped = ProfileMapping(mapping_of(DOCUMENT)).read(
        {"_key": "c1", "mail": " ", "opt_in": "maybe", "age": None}
    )
    assert mapped.fields == {"profile_id": "c1"}
    assert (mapped.attributes, mapped.channel_addresses, mapped.consents) == ({}, {}, [])


@pytest.mark.parametrize(
    ("field", "row"),
    [
        ("profile_id", {"_key": ["a"]}),
        ("latitude", {"geo": {"lat": "north"}}),
        ("portfolio_snapshot", {"portfolio": "[1]"}),
        ("portfolio_snapshot", {"portfolio": "{"}),
        ("source_updated_at", {"updated": "yesterday"}),
        ("source_updated_at", {"updated": 1e300}),
        ("attributes.years", {"age": "4x"}),
        ("attributes.years", {"age": 4.5}),
        ("attributes.vip", {"is_vip": "perhaps"}),
        ("identities", {"web": {"a": 1}}),
        ("channel_addresses.push", {"tokens": [True]}),
    ],
)
def test_a_value_that_is_something_else_is_told_by_its_field(field: str, row: dict[str, Any]) -> None:
    with pytest.raises(BadRow) as caught:
        ProfileMapping(mapping_of(DOCUMENT)).read({"_key": "c1", **row})
    assert [fault.field for fault in caught.value.violations] == [field]


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("fields", {}),
        ("fields", {"fields": {"primary_email": "mail"}}),
        ("fields", {"fields": {"profile_id": "a", "latitude": "lat"}}),
        ("fields.profil_id", {"fields": {"profile_id": "a", "profil_id": "b"}}),
        ("fields.profile_id.from", {"fields": {"profile_id": {"prefix": "x"}}}),
        ("fields.segments[1].split", {"fields": {"profile_id": "a", "segments": ["b", {"from": "c", "split": 1}]}}),
        ("attributes.age.type", {"fields": {"profile_id": "a"}, "attributes": {"age": {"from": "b", "type": "int"}}}),
        ("consents[0].channel", {"fields": {"profile_id": "a"}, "consents": [{"from": "b"}]}),
        ("default_region", {"fields": {"profile_id": "a"}, "default_region": "Vietnam"}),
        ("rest", {"fields": {"profile_id": "a"}, "rest": "keep"}),
    ],
)  # fmt: skip
def test_a_bad_mapping_is_refused_with_the_path_of_each_fault(path: str, document: dict[str, Any]) -> None:
    with pytest.raises(MappingNotValid) as caught:
        mapping_of(document)
    assert [fault.field for fault in caught.value.violations] == [path]
    assert path in str(caught.value)


def test_files_are_toml_or_json(tmp_path: Path) -> None:
    for name, text in {
        "m.toml": '[fields]\nprofile_id = "id"',
        "m.json": '{"fields": {"profile_id": "id"}}',
    }.items():
        (tmp_path / name).write_text(text)
        assert ProfileMapping(read_mapping(tmp_path / name)).columns == {"id"}
    (tmp_path / "bad.toml").write_text("[fields")
    for bad in ("bad.toml", "absent.json"):
        with pytest.raises(MappingNotValid, match=bad):
            read_mapping(tmp_path / bad)
