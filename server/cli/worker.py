"""`leo worker`: sends what is due, and runs the schedule."""

from __future__ import annotations

from server.cli.environment import adopt, names_a_database, running_stack
from server.cli.failure import CommandFailed
from server.config import WorkerSettings, load_settings
from server.platform.listening import PortNotFree


def worker() -> None:
    """Work until SIGTERM or Ctrl-C, then finish what is being sent. Any number may run.

    Configured by LEO_* variables and LEO_CONFIG; without them it joins the stack of `leo up`.
    """
    from server.workers.process import work

    if not names_a_database():
        adopt(running_stack().worker_environment())
    try:
        work(load_settings(WorkerSettings))
    except PortNotFree as error:
        raise CommandFailed(str(error)) from error
