"""What commands take from the environment, and from a stack that is running already."""

from __future__ import annotations

import os
from collections.abc import Mapping

from server.embedded.addresses import StackAddresses, find_addresses
from server.embedded.options import StackOptions


def stack_options() -> StackOptions:
    """The stack's options, from the variables of this process."""
    return StackOptions.from_variables(os.environ)


def running_stack() -> StackAddresses:
    """The addresses of the stack that `leo up` or `leo run` keeps running.

    Raises:
        StackNotRunning: neither does.
    """
    return find_addresses(stack_options().state_directory)


def environment_with(variables: Mapping[str, str]) -> dict[str, str]:
    """This process's environment for a child, with these variables replaced."""
    return {**os.environ, **variables}


def adopt(variables: Mapping[str, str]) -> None:
    """Set the variables that the user left unset, before the configuration is read."""
    for name, value in variables.items():
        os.environ.setdefault(name, value)


def names_a_database() -> bool:
    """Whether the user said which database to use, so that no embedded stack is meant."""
    return any(os.environ.get(name) for name in ("LEO_DATABASE_URL", "LEO_CONFIG"))
