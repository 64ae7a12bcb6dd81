"""An instrument: an asset that prices and alerts are about."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from server.trading_calendar import check_calendar
from server.validation import Violations

TYPES: Final = ("STOCK", "CRYPTO", "FX", "INDEX", "FUND", "COMMODITY")
_SYMBOL: Final = re.compile(r"[!-~]{1,64}")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")


@dataclass(frozen=True, slots=True)
class Instrument:
    """An instrument of a tenant, or a global one.

    Args:
        type: one of `TYPES`, empty when the caller gave none.
        currency: ISO 4217 code of its prices; None where unknown.
        metadata: JSON object; `calendar` says when its market is open (`server.trading_calendar`).
        shared: true for one that every tenant sees.
    """

    symbol: str
    instrument_name: str
    type: str
    currency: str | None
    exchange: str | None
    metadata: bytes
    status: str = "active"
    shared: bool = False

    def check(self, violations: Violations) -> dict[str, Any]:
        """Note every fault; returns the metadata."""
        if not _SYMBOL.fullmatch(self.symbol):
            violations.add("symbol", "must be 1 to 64 printable ASCII characters without spaces")
        violations.text("instrument_name", self.instrument_name, maximum=200, required=False)
        violations.one_of("type", self.type, TYPES)
        if self.currency is not None and not _CURRENCY.fullmatch(self.currency):
            violations.add("currency", 'must be three capital letters (ISO 4217), such as "USD"')
        if self.exchange is not None:
            violations.text("exchange", self.exchange, maximum=100, required=False)
        metadata = violations.document("metadata", self.metadata)
        if "calendar" in metadata:
            check_calendar(metadata["calendar"], violations.under("metadata.calendar"))
        return metadata
