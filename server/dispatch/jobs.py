"""What workers call: send what is due, and carry out dispatches."""

from __future__ import annotations

from collections.abc import Callable

from server.dispatch.delivery_runner import DeliveryRunner
from server.dispatch.plan_runner import PlanRunner


class DispatchJobs:
    """One runner for each queue of deliveries, made when it is first asked for, and one for plans.

    Args:
        make_runner: the runner of a queue.
        plans: the runner of plans.
    """

    def __init__(self, *, make_runner: Callable[[str], DeliveryRunner], plans: PlanRunner) -> None:
        self._make_runner = make_runner
        self._runners: dict[str, DeliveryRunner] = {}
        self._plans = plans
        self._stopping = False

    async def deliver(self, queue: str) -> None:
        """Send what is due in the queue until nothing is."""
        if self._stopping:
            return
        runner = self._runners.get(queue)
        if runner is None:
            runner = self._runners[queue] = self._make_runner(queue)
        await runner.drain()

    async def carry_out_plans(self) -> None:
        """Decide for the members of dispatches until none is left."""
        await self._plans.drain()

    def stop(self) -> None:
        """Begin nothing more; calls that run return once what they began is recorded."""
        self._stopping = True
        self._plans.stop()
        for runner in self._runners.values():
            runner.stop()
