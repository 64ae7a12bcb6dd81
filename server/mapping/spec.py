"""What a mapping file may say. Read with `server.mapping.files`, applied with `server.mapping.mapping`. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Kind: TypeAlias = Literal["text", "integer", "number", "boolean", "json"]
TimeFormat: TypeAlias = Literal["iso", "unix", "unix_ms"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Column(_Part):
    """Where a value comes from, and how it is read.

    Args:
        source: name of the column, or path into a document with dots; a column whose name has dots is found first.
        prefix: put before a text, e.g. "crm:".
        split: what separates the texts of a list that stands in one text.
        scale: what a number is multiplied with.
        time: how a moment is written.
        kind: type of a raw attribute; as it stands where it is left out.
    """

    source: str = Field(alias="from", min_length=1)
    prefix: str = ""
    split: str = Field("", max_length=5)
    scale: float = 1.0
    time: TimeFormat = "iso"
    kind: Kind | None = Field(None, alias="type")


def _named(value: Any) -> Any:
    return {"from": value} if isinstance(value, str) else value


def _several(value: Any) -> Any:
    return [_named(item) for item in value] if isinstance(value, list) else [_named(value)]


From: TypeAlias = Annotated[Column, BeforeValidator(_named)]
FromAny: TypeAlias = Annotated[tuple[Column, ...], BeforeValidator(_several), Field(min_length=1)]


class Fields(_Part):
    """The fields of a profile; lists may come from several columns."""

    profile_id: From | None = None
    ext_id: From | None = None
    identities: FromAny | None = None
    primary_email: From | None = None
    mobile_number: From | None = None
    living_location: From | None = None
    latitude: From | None = None
    longitude: From | None = None
    job_titles: FromAny | None = None
    interests: FromAny | None = None
    data_labels: FromAny | None = None
    segments: FromAny | None = None
    portfolio_snapshot: From | None = None
    portfolio_risk_score: From | None = None
    raw_attributes: From | None = None
    language: From | None = None
    time_zone: From | None = None
    source_updated_at: From | None = None

    @model_validator(mode="after")
    def _check_together(self) -> Fields:
        if self.profile_id is None and self.ext_id is None and self.identities is None:
            raise ValueError("one of profile_id, ext_id and identities has to say whose row it is")
        if (self.latitude is None) != (self.longitude is None):
            raise ValueError("latitude and longitude go together")
        return self


class ConsentRule(_Part):
    """What a customer agreed to, for one channel, told by the value of a column.

    Args:
        granted, withdrawn: the values that say so; any other, and none, says nothing.
        stated_at: when it was said; the row's source_updated_at where it is left out.
    """

    channel: str = Field(min_length=1)
    source: str = Field(alias="from", min_length=1)
    granted: tuple[str, ...] = ("true", "yes", "1")
    withdrawn: tuple[str, ...] = ("false", "no", "0")
    legal_basis: str = Field("consent", min_length=1, max_length=100)
    recorded_as: str = Field("import", alias="source", min_length=1, max_length=200)
    stated_at: From | None = None


class MappingSpec(_Part):
    """A whole mapping.

    Args:
        default_region: ISO 3166 code of the country in which national phone numbers are read.
        rest: what becomes of columns that nothing names: kept in raw_attributes, or left out.
        ignore: columns that are left out even so.
        attributes: raw attributes by name, where they need another name or a type.
    """

    default_region: str = Field("", pattern="^([A-Z]{2})?$")
    rest: Literal["raw_attributes", "ignore"] = "raw_attributes"
    ignore: tuple[str, ...] = ()
    fields: Fields
    attributes: dict[str, From] = {}
    channel_addresses: dict[str, FromAny] = {}
    consents: tuple[ConsentRule, ...] = ()
