"""Hands one message to its provider, learns from the answer, and says what it means for the delivery."""

from __future__ import annotations

import random
from collections.abc import Callable
from math import inf
from typing import Final
from uuid import UUID

from server.dispatch.admission import Prepared, route_key
from server.dispatch.channels.channel import Accepted, ErrorClass, Message, Refused, SendResult
from server.dispatch.claims import Attempt, Step
from server.dispatch.credentials.directory import ChannelDirectory, Route
from server.dispatch.digests import spread
from server.dispatch.limits.wishes import Gate, RouteKey
from server.dispatch.outcomes import RetryPolicy, after_send, expired
from server.errors import LeoError
from server.platform.clock import utc_now
from server.platform.logging import get_logger

_FAILURES: Final = frozenset({ErrorClass.AUTHENTICATION, ErrorClass.TRANSIENT, ErrorClass.AMBIGUOUS})


class Sender:
    """Sends attempts that are recorded as `sending`.

    Args:
        directory: renews accounts that the provider refuses.
        gate: counts what passes and what fails.
        jitter: 0 to 1, spreads retries.
    """

    def __init__(
        self,
        *,
        directory: ChannelDirectory,
        gate: Gate,
        policy: RetryPolicy,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._directory = directory
        self._gate = gate
        self._policy = policy
        self._jitter = jitter

    async def send(self, tenant_id: UUID, prepared: Prepared, wait_seconds: float) -> Step:
        """What to record after sending; what is no attempt comes back as it is.

        Args:
            wait_seconds: how long the message may wait for its turn.
        """
        attempt, route = prepared.step.attempt, prepared.route
        if attempt is None or route is None:
            return prepared.step
        return spread(await self._sent(tenant_id, attempt, route, prepared.channels, wait_seconds), attempt)

    async def _sent(
        self, tenant_id: UUID, attempt: Attempt, route: Route, channels: tuple[str, ...], wait_seconds: float
    ) -> Step:
        left = _validity_left(attempt)
        if left <= 0:
            return expired(attempt)
        wait_seconds = min(wait_seconds, left)
        result = await _hand_over(attempt, route, wait_seconds)
        renewed = await self._renewed(tenant_id, attempt, route, result)
        if not renewed:
            self._learn(route_key(tenant_id, route), result)
        return after_send(
            attempt,
            result,
            channels=channels,
            policy=self._policy,
            now=utc_now(),
            jitter=self._jitter,
            at_once=renewed,
            resend_safe=route.adapter.resend_safe,
        )

    async def _renewed(self, tenant_id: UUID, attempt: Attempt, route: Route, result: SendResult) -> bool:
        """Whether the account was refused and there is a newer one by now."""
        if not isinstance(result, Refused) or result.error is not ErrorClass.AUTHENTICATION:
            return False
        try:
            return await self._directory.renew(tenant_id, attempt.channel, route)
        except LeoError as error:
            get_logger().warning("cannot_renew", channel=attempt.channel, reason=error.reason)
            return False

    def _learn(self, key: RouteKey, result: SendResult) -> None:
        """A refusal of one recipient or message says that the account works; one for too much says nothing."""
        if isinstance(result, Refused) and result.error in _FAILURES:
            self._gate.failed(key)
        elif isinstance(result, Accepted) or result.error is not ErrorClass.QUOTA:
            self._gate.passed(key)
        elif result.retry_after_seconds is not None:
            self._gate.asked_to_wait(key, result.retry_after_seconds)


def _validity_left(attempt: Attempt) -> float:
    """Seconds in which it may still be handed over."""
    if attempt.valid_until is None:
        return inf
    return (attempt.valid_until - utc_now()).total_seconds()


async def _hand_over(attempt: Attempt, route: Route, wait_seconds: float) -> SendResult:
    message = Message(
        delivery_key=attempt.delivery_key,
        destination=attempt.destinations[0],
        subject=attempt.subject_line,
        body=attempt.body,
        content_type=attempt.content_type,
        data=attempt.data,
        more_destinations=attempt.destinations[1:],
    )
    try:
        return await route.adapter.send(message, route.credential, wait_seconds=wait_seconds)
    except Exception as error:
        # A fault of the adapter: whether the provider got the message, nobody knows.
        get_logger().error("channel_fault", channel=attempt.channel, exc_info=error)
        return Refused(ErrorClass.AMBIGUOUS, "CHANNEL_FAULT")
