"""Use cases of alerts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from server.alerts.lane import ShardsElsewhere, TickLane
from server.alerts.model import AlertRule, AlertRuleInput, BatchOutcome, RuleStatus, TickBatch
from server.alerts.store import AlertStore
from server.errors import (
    FieldViolation,
    InvalidInput,
    LeoError,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
    Unavailable,
)
from server.paging import Page, PageRequest, open_cursor
from server.platform.postgres import Connection, Database
from server.validation import Violations

GLOBAL_TICKS_SCOPE = "ticks.write"
_MOST_RULES = 10_000
_CHECKED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class ArmedRule:
    """A rule that is active after a put.

    Args:
        armed: whether this put made it so.
    """

    rule_id: str
    generation: int
    armed: bool


PutAnswer = ArmedRule | LeoError


class AlertService:
    """Puts, lists and stops rules, and takes ticks.

    Args:
        own_address: where this process answers for its shards; empty before it does.
        clock: rules that end have to end after it.
    """

    def __init__(
        self,
        *,
        database: Database,
        store: AlertStore,
        lane: TickLane,
        own_address: Callable[[], str],
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._store = store
        self._lane = lane
        self._own_address = own_address
        self._clock = clock

    async def put_alert_rules(self, tenant_id: UUID, rules: Sequence[AlertRuleInput]) -> list[PutAnswer]:
        """Make rules active, each answered on its own. PostgreSQL: 3 to 5 round trips for all of them.

        Raises:
            InvalidInput: the number of rules is out of range.
        """
        violations = Violations()
        violations.count("rules", rules, lowest=1, highest=_MOST_RULES)
        violations.raise_if_any()
        faults = await self._faults(rules)
        good = {place: rule for place, rule in enumerate(rules) if place not in faults}
        if not good:
            return [faults[place] for place in range(len(rules))]
        async with self._database.tenant_transaction(tenant_id) as connection:
            named = await self._name(connection, tenant_id, good)
            armed = await self._arm(
                connection,
                tenant_id,
                {rule_id: (rules[place], own) for place, (rule_id, own) in named.items()},
            )
        return [
            faults.get(place)
            or (_armed(place, named[place][0], armed) if place in named else _unknown_symbol(place))
            for place in range(len(rules))
        ]

    async def list_alert_rules(
        self,
        tenant_id: UUID,
        page: PageRequest,
        *,
        profile_id: str | None,
        symbol: str | None,
        status: RuleStatus | None,
    ) -> Page[AlertRule]:
        """Rules by id, page by page. PostgreSQL: 3 round trips.

        Raises:
            InvalidInput: the page is not one of this list.
        """
        listing = ["alert_rules", profile_id or "", symbol or "", status or ""]
        cursor = open_cursor(page, listing=listing, first=("",))
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            rules = await self._store.list_alert_rules(
                connection,
                tenant_id,
                after=str(cursor.after[0]),
                profile_id=profile_id,
                symbol=symbol,
                status=status,
                limit=cursor.limit,
            )
        return cursor.page(rules, lambda rule: (rule.rule_id,))

    async def delete_alert_rule(self, tenant_id: UUID, rule_id: str) -> AlertRule:
        """Stop a rule. PostgreSQL: 3 round trips.

        Raises:
            InvalidInput: the id is none.
            NotFound: the tenant has no such rule.
        """
        violations = Violations()
        violations.sha256("rule_id", rule_id)
        violations.raise_if_any()
        async with self._database.tenant_transaction(tenant_id) as connection:
            rule = await self._store.disable_alert_rule(connection, tenant_id, rule_id)
        if rule is None:
            raise NotFound("alert rule", rule_id)
        return rule

    async def evaluate(self, tenant_id: UUID, batch: TickBatch, *, may_tick_globally: bool) -> BatchOutcome:
        """Take ticks; returns when prices and firings are committed. Round trips as `server.alerts.lane`.

        Calls are evaluated in the order in which they are made: nothing is awaited before they stand in line.

        Raises:
            InvalidInput: the batch as a whole has faults.
            PermissionDenied: the ticks are of global instruments, and the caller may not bring those.
            PreconditionFailed: another process owns the shards; `metadata` names it.
            Overloaded: too much waits.
            Unavailable: the database is away, or a shard is changing hands; nothing was done.
        """
        violations = Violations("batch")
        batch.check(violations)
        violations.raise_if_any()
        if batch.owner is None and not may_tick_globally:
            raise PermissionDenied(
                "SCOPE_MISSING",
                "ticks of global instruments need a scope of their own",
                {"required_scope": GLOBAL_TICKS_SCOPE},
            )
        try:
            return await self._lane.submit(tenant_id, batch)
        except ShardsElsewhere as elsewhere:
            raise await self._redirection(elsewhere.shards) from None

    async def _faults(self, rules: Sequence[AlertRuleInput]) -> dict[int, InvalidInput]:
        """Faults by place. Other calls get their turn between parts of a long list."""
        faults, now = {}, self._clock()
        for place, rule in enumerate(rules):
            if place % _CHECKED_AT_ONCE == 0:
                await asyncio.sleep(0)
            fault = _fault(place, rule, now)
            if fault is not None:
                faults[place] = fault
        return faults

    async def _name(
        self, connection: Connection, tenant_id: UUID, rules: Mapping[int, AlertRuleInput]
    ) -> dict[int, tuple[str, bool]]:
        """Rule id, and whether it is on an own instrument, of each rule whose symbol is one."""
        symbols = {rule.symbol for rule in rules.values()}
        found = await self._store.find_instruments(connection, tenant_id, symbols)
        named = {}
        for count, (place, rule) in enumerate(rules.items()):
            if count % _CHECKED_AT_ONCE == 0:
                await asyncio.sleep(0)
            own = (rule.symbol, True) in found
            if own or (rule.symbol, False) in found:
                named[place] = (rule.rule_id(tenant_id, own_instrument=own), own)
        return named

    async def _arm(
        self, connection: Connection, tenant_id: UUID, rules: Mapping[str, tuple[AlertRuleInput, bool]]
    ) -> dict[str, ArmedRule]:
        held = await self._store.lock_alert_rules(connection, tenant_id, rules)
        active = {
            rule_id: rule.generation for rule_id, rule in held.items() if rule.status == RuleStatus.ACTIVE
        }
        changed = {
            rule_id: (rule, own)
            for rule_id, (rule, own) in rules.items()
            if rule_id not in active or held[rule_id].terms != rule.terms
        }
        written = await self._store.put_alert_rules(connection, tenant_id, changed) if changed else {}
        generations = {**active, **written}
        return {
            rule_id: ArmedRule(rule_id, generations[rule_id], armed=rule_id not in active)
            for rule_id in rules
            if rule_id in generations
        }

    async def _redirection(self, shards: frozenset[int]) -> LeoError:
        """Where the ticks should go instead. PostgreSQL: 3 round trips."""
        async with self._database.transaction(readonly=True) as connection:
            members = await self._store.list_members(connection)
        # What this process holds, but can not evaluate, it is just reading.
        others = [member for member in members if member.address != self._own_address()]
        owners = {shard: member.address for member in others for shard in member.shards}
        if not shards <= owners.keys():
            return Unavailable("SHARD_CHANGING_HANDS", "no process owns the shard at this moment; repeat")
        return PreconditionFailed(
            "SHARD_OWNED_ELSEWHERE",
            "another process owns the shards of these symbols; send the ticks there",
            {f"shard.{shard}": owners[shard] for shard in sorted(shards)},
        )


def _fault(place: int, rule: AlertRuleInput, now: datetime) -> InvalidInput | None:
    violations = Violations(f"rules[{place}]")
    rule.check(violations, now)
    return InvalidInput(violations.found) if violations.found else None


def _armed(place: int, rule_id: str, armed: Mapping[str, ArmedRule]) -> PutAnswer:
    """The rule, unless nothing is kept of its owner."""
    return armed.get(rule_id) or InvalidInput(
        [FieldViolation(f"rules[{place}].profile_id", "was erased: nothing of it is kept")]
    )


def _unknown_symbol(place: int) -> InvalidInput:
    return InvalidInput(
        [FieldViolation(f"rules[{place}].symbol", "is no active instrument; put the instrument first")]
    )
