"""Where a project's servers are: the environment wins, then what the project file says; embedded servers are started."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rowcall.errors import UsageError
from rowcall.mapping.model import VARIABLES, Endpoint
from rowcall.postgres.connect import dsn_port
from rowcall.postgres.embedded import EmbeddedServers, bundled_binary

TRANSACTION_POOLER = "6543"  # Supabase's; it has no session state, so neither snapshots nor locks


@dataclass(frozen=True)
class Dsns:
    """libpq connection strings; not to be shown (repr hides them)."""

    source: str
    target: str

    def __repr__(self) -> str:
        return "Dsns(...)"


class Places:
    """Resolves the two endpoints of one project folder."""

    def __init__(self, folder: Path, endpoints: Mapping[str, Endpoint], notify: Callable[[str], None]) -> None:
        self.folder, self.endpoints = folder, endpoints
        self.servers = EmbeddedServers(folder, notify)

    @contextmanager
    def use(self, *sides: str) -> Iterator[Dsns]:
        """DSNs for the time of the block; embedded servers run at least as long."""
        wanted = sides or ("source", "target")
        if any(self._embedded(side) for side in wanted):
            if not self.servers.exists():
                raise UsageError(
                    f"{self.folder} has no embedded servers",
                    hint="make a project with `rowcall demo`, or name your own servers",
                )
            with self.servers.use():
                yield self._dsns(wanted)
        else:
            yield self._dsns(wanted)

    def binary(self, side: str, program: str) -> Path:
        """A client program of the side's version, from the embedded binaries."""
        return (
            self.servers.binary(self.endpoints[side].value, program)
            if self._embedded(side)
            else bundled_binary(program)
        )

    def _dsns(self, wanted: tuple[str, ...]) -> Dsns:
        return Dsns(*(self._dsn(side) if side in wanted else "" for side in ("source", "target")))

    def _embedded(self, side: str) -> bool:
        return not os.environ.get(VARIABLES[side]) and self.endpoints[side].kind == "embedded"

    def _dsn(self, side: str) -> str:
        dsn = self._configured(side)
        if dsn_port(dsn) == TRANSACTION_POOLER:
            raise UsageError(
                f"the {side} is a transaction pooler (port 6543)",
                hint="use the direct or session-pooler connection, port 5432",
            )
        return dsn

    def _configured(self, side: str) -> str:
        if given := os.environ.get(VARIABLES[side]):
            return given
        endpoint = self.endpoints[side]
        if endpoint.kind == "embedded":
            if endpoint.value not in self.servers.names():
                known = ", ".join(self.servers.names()) or "none"
                raise UsageError(f"the project has no embedded server {endpoint.value!r}", hint=f"it has: {known}")
            return self.servers.dsn(endpoint.value)
        if endpoint.kind == "service":
            return f"service={endpoint.value}"
        if endpoint.kind == "dsn":
            return endpoint.value
        if given := os.environ.get(endpoint.value):
            return given
        raise UsageError(f"the variable {endpoint.value} is not set", hint=f"set it to the DSN of the {side}")
