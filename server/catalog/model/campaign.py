"""A campaign: why activation exists, for whom, and within which limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from server.contact_policy import ContactPolicy
from server.validation import Violations


@dataclass(frozen=True, slots=True)
class Audience:
    """A named segment.

    Args:
        condition: who belongs to it: JSON, as the caller sent it or in its canonical form.
        version: hash of the canonical condition; empty until it was compiled.
    """

    name: str
    condition: bytes
    version: str = ""


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign, as the caller wants it or as it is stored (then with its times)."""

    campaign_id: str
    campaign_code: str
    campaign_name: str
    objective: str
    status: str = "draft"
    start_at: datetime | None = None
    end_at: datetime | None = None
    audience: Audience | None = None
    policy: ContactPolicy = field(default_factory=ContactPolicy)
    created_at: datetime | None = None
    updated_at: datetime | None = None

    def check(self, violations: Violations) -> None:
        """Note every fault but those of the audience's condition."""
        violations.identifier("campaign_id", self.campaign_id)
        violations.text("campaign_code", self.campaign_code, maximum=100)
        violations.text("campaign_name", self.campaign_name, maximum=200)
        violations.text("objective", self.objective, maximum=1000, required=False)
        violations.period(self.start_at, self.end_at)
        self.policy.check(violations)
        if self.audience is not None:
            violations.text("audience.name", self.audience.name, maximum=100)
            if not self.audience.condition:
                violations.add("audience.condition", "is required; leave the audience out for everyone")
