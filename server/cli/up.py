"""`leo up`: the embedded stack, until Ctrl-C."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from server.cli.environment import stack_options
from server.cli.stopping import ends_on_signal, wait_for_signal
from server.embedded.addresses import StackAddresses
from server.embedded.database_setup import without_password
from server.embedded.options import StackOptions
from server.embedded.stack import Stack


def up() -> None:
    """Start PostgreSQL, Redis and a mailbox, migrate, and keep them running until Ctrl-C.

    LEO_DATABASE_URL (a superuser's), LEO_REDIS_URL, LEO_BROKER_URL and LEO_SMTP_URL each replace one of them.
    """
    options = stack_options()
    with ends_on_signal(), Stack(options) as addresses:
        print_addresses(Console(soft_wrap=True), options, addresses)
        wait_for_signal()


def print_addresses(console: Console, options: StackOptions, addresses: StackAddresses) -> None:
    """Tell where everything is; passwords stay in the state directory."""
    table = Table(box=None, show_header=False, pad_edge=False)
    rows = {
        "PostgreSQL": without_password(addresses.database.superuser_url),
        "Redis": without_password(addresses.redis_url),
        "broker": without_password(addresses.broker_url),
        "SMTP": without_password(addresses.smtp_url),
        "mailbox": addresses.mailbox_directory,
        "state": f"{options.state_directory} (URLs with passwords: addresses.json)",
    }
    for name, value in rows.items():
        table.add_row(f"[bold]{name}[/bold]", value)
    console.print(table)
    console.print("The stack is up; Ctrl-C stops it.")
