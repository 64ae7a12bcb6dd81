"""What a tenant is, and what may be asked for one. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from server.contact_policy import ContactPolicy
from server.validation import Violations

STATUSES: Final = ("active", "suspended", "archived")
_LONGEST_NAME: Final = 200
_LARGEST_SEED: Final = 2**53 - 1


@dataclass(frozen=True, slots=True)
class Holdout:
    """The share of a tenant's profiles that get no messages, so that what messages bring can be measured.

    Args:
        fraction: 0 up to 1; a larger one holds every profile of a smaller one.
        seed: another seed holds other profiles.
    """

    fraction: float
    seed: int

    def check(self, violations: Violations) -> None:
        """Note every fault."""
        violations.fraction("fraction", self.fraction)
        violations.between("seed", self.seed, 0, _LARGEST_SEED)

    def document(self) -> dict[str, Any]:
        """As it is stored."""
        return {"fraction": self.fraction, "seed": self.seed}


@dataclass(frozen=True, slots=True)
class TenantDefaults:
    """What holds for every campaign of a tenant; without a holdout everybody may be sent messages."""

    policy: ContactPolicy
    holdout: Holdout | None = None

    def metadata(self, violations: Violations) -> dict[str, Any]:
        """Under the keys that the rule bundle reads; every fault is noted."""
        self.policy.check(violations)
        if self.holdout is not None:
            self.holdout.check(violations.under("holdout"))
        return {
            "frequency_caps": self.policy.caps_document(),
            "quiet_hours": self.policy.quiet_hours_document(),
            "holdout": self.holdout.document() if self.holdout else None,
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> TenantDefaults:
        """Out of what is stored."""
        policy = ContactPolicy.from_documents(metadata.get("frequency_caps"), metadata.get("quiet_hours"))
        holdout = metadata.get("holdout")
        return cls(policy, Holdout(**holdout) if holdout else None)


@dataclass(frozen=True, slots=True)
class Tenant:
    """A stored tenant.

    Args:
        defaults: what holds for every campaign.
        settings: the tenant's own settings; never credentials.
        definitions_version: grows with every change that decisions could notice.
    """

    tenant_id: UUID
    tenant_name: str
    keycloak_realm: str
    keycloak_client_id: str
    status: str
    defaults: TenantDefaults
    settings: dict[str, Any]
    definitions_version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class NewTenant:
    """A tenant to create; `settings` is the caller's JSON object."""

    tenant_name: str
    keycloak_realm: str
    keycloak_client_id: str
    defaults: TenantDefaults
    settings: bytes

    def metadata(self) -> dict[str, Any]:
        """What `tenant.metadata` will hold.

        Raises:
            InvalidInput: with every fault of the tenant.
        """
        violations = Violations()
        violations.text("tenant_name", self.tenant_name, maximum=_LONGEST_NAME)
        violations.text("keycloak_realm", self.keycloak_realm, maximum=_LONGEST_NAME)
        violations.text("keycloak_client_id", self.keycloak_client_id, maximum=_LONGEST_NAME)
        defaults = self.defaults.metadata(violations.under("defaults"))
        metadata = defaults | _settings_metadata(self.settings, violations)
        violations.raise_if_any()
        return metadata


@dataclass(frozen=True, slots=True)
class TenantChange:
    """What to change of a tenant; None keeps a value."""

    tenant_id: str
    tenant_name: str | None
    status: str | None
    defaults: TenantDefaults | None
    settings: bytes | None

    def metadata(self) -> dict[str, Any]:
        """The keys of `tenant.metadata` to replace.

        Raises:
            InvalidInput: with every fault of the change.
        """
        violations = Violations()
        violations.uuid("tenant_id", self.tenant_id)
        if self.tenant_name is not None:
            violations.text("tenant_name", self.tenant_name, maximum=_LONGEST_NAME)
        metadata: dict[str, Any] = {}
        if self.defaults is not None:
            metadata |= self.defaults.metadata(violations.under("defaults"))
        if self.settings is not None:
            metadata |= _settings_metadata(self.settings, violations)
        violations.raise_if_any()
        return metadata


def parse_tenant_id(text: str) -> UUID:
    """Raises:
    InvalidInput: it is no UUID.
    """
    violations = Violations()
    tenant_id = violations.uuid("tenant_id", text)
    violations.raise_if_any()
    assert tenant_id is not None
    return tenant_id


def _settings_metadata(settings: bytes, violations: Violations) -> dict[str, Any]:
    """Under one key of their own, so that no setting can pass for a default."""
    return {"settings": violations.document("settings", settings)}
