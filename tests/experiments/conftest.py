"""A shop whose thanks are under test."""

from __future__ import annotations

from typing import Any

import pytest
from leo.activation.v1 import catalog_service_pb2 as wire

from tests.catalog.conftest import Catalog, catalog, other_catalog, ready

__all__ = ["catalog", "other_catalog", "ready"]


def variant(name: str, weight: int = 1, template_name: str = "") -> dict[str, Any]:
    """One way to say it."""
    return {"name": name, "weight": weight, "template_name": template_name}


def experiment(**fields: Any) -> dict[str, Any]:
    """A good experiment on the shop's thanks: short ones against long ones."""
    return {
        "experiment_id": "subject",
        "experiment_name": "Short or long",
        "campaign_id": "spring",
        "event_name": "thanks",
        "allocation": wire.EXPERIMENT_ALLOCATION_FIXED,
        "variants": [variant("short", 1, "brief"), variant("long", 1)],
        "seed": 7,
        "conversion_event_type": "purchase",
        "attribution_window_seconds": 86_400,
        **fields,
    }


@pytest.fixture
async def shop(ready: Catalog) -> Catalog:
    """A catalogue with a marketing event, its own template and another one."""
    await ready.put_template(template_name="brief", subject_template="Thanks!", body_template="Bye.")
    await ready.put_event()
    return ready
