"""Reads a mapping file, or says everything that is wrong with it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from server.errors import FieldViolation
from server.mapping.spec import MappingSpec


class MappingNotValid(Exception):
    """A mapping that can not be used; with the path and the cure of each fault."""

    def __init__(self, violations: tuple[FieldViolation, ...]) -> None:
        lines = "\n".join(
            f"  {violation.field or 'the whole'}: {violation.description}" for violation in violations
        )
        super().__init__(f"the mapping is not valid:\n{lines}")
        self.violations = violations


def read_mapping(path: Path) -> MappingSpec:
    """The mapping of a TOML or a JSON file, told by the file's ending.

    Raises:
        MappingNotValid: it can not be read, or has faults.
    """
    try:
        data = path.read_bytes()
        document = orjson.loads(data) if path.suffix == ".json" else tomllib.loads(data.decode())
    except OSError as error:
        raise MappingNotValid((FieldViolation(str(path), error.strerror or "can not be read"),)) from error
    except ValueError as error:
        raise MappingNotValid((FieldViolation(str(path), f"is not {_kind(path)}: {error}"),)) from error
    return mapping_of(document)


def mapping_of(document: Mapping[str, Any]) -> MappingSpec:
    """The mapping of a document, e.g. of a source's settings.

    Raises:
        MappingNotValid: with every fault.
    """
    try:
        return MappingSpec.model_validate(document)
    except ValidationError as error:
        raise MappingNotValid(
            tuple(FieldViolation(_path(fault["loc"]), fault["msg"]) for fault in error.errors())
        ) from error


def _path(location: tuple[int | str, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".")


def _kind(path: Path) -> str:
    return "JSON" if path.suffix == ".json" else "TOML"
