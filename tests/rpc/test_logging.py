"""Logs hold what the allow-list allows, and nothing of what people typed."""

from __future__ import annotations

import json
import logging
from typing import Any

import asyncpg
import pytest

from server.platform.logging import get_logger
from tests.fixtures import planted
from tests.fixtures.logs import LogReader, personal_data_in


def entries(logged: LogReader) -> list[dict[str, Any]]:
    """The lines since the test began, without those of libraries' debugging."""
    lines = [json.loads(line) for line in logged.text().splitlines()]
    return [line for line in lines if line["level"] != "debug"]


def test_known_fields_are_kept_and_others_counted(logged: LogReader) -> None:
    get_logger().info("something", method="/a/b", count=3, email=planted.EMAIL, body=planted.TEXT)
    (entry,) = entries(logged)
    assert (entry["event"], entry["method"], entry["count"], entry["dropped"]) == ("something", "/a/b", 3, 2)


def test_values_that_are_no_plain_values_are_dropped(logged: LogReader) -> None:
    get_logger().info("something", reason={"email": planted.EMAIL}, services=["a", object()])
    (entry,) = entries(logged)
    assert (entry["reason"], entry["services"]) == ("[dropped]", ["a", "[dropped]"])


def test_exceptions_are_types_and_places(logged: LogReader) -> None:
    try:
        try:
            raise asyncpg.UniqueViolationError(f"Key (email)=({planted.EMAIL}) already exists")
        except asyncpg.PostgresError as error:
            raise ValueError(planted.TEXT) from error
    except ValueError as error:
        get_logger().error("failed", exc_info=error)
    (entry,) = entries(logged)
    types = [cause["type"] for cause in entry["exception"]]
    assert types == ["builtins.ValueError", "asyncpg.exceptions.UniqueViolationError"]
    assert "test_logging.py" in entry["exception"][0]["at"][0]
    assert entry["exception"][1]["sqlstate"] == "23505"


def test_other_libraries_logs_lose_their_arguments(logged: LogReader) -> None:
    library = logging.getLogger("some.library")
    library.warning("mail to %s refused", planted.EMAIL)
    library.warning(f"mail to {planted.EMAIL} refused")
    try:
        raise ValueError(planted.TEXT)
    except ValueError:
        library.exception("could not send to %s", planted.PHONE)
    assert [entry["event"] for entry in entries(logged)] == [
        "mail to %s refused",
        "log_of_a_library",
        "could not send to %s",
    ]


@pytest.mark.parametrize("value", planted.ALL)
def test_the_check_of_the_suite_would_find_what_is_planted(value: str) -> None:
    assert personal_data_in(f'{{"event": "sent to {value}"}}') != []


def test_the_check_of_the_suite_would_find_any_address() -> None:
    assert personal_data_in("to somebody@example.org") != []
    assert personal_data_in("to +491711234567") != []
    assert personal_data_in('{"event": "serving", "address": "127.0.0.1:50051"}') == []
