"""Keep payload and rejections in the ledger's archive, or as a row of a mapped target table, and leave the row itself out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rowcall.errors import UsageError
from rowcall.ledger.repairs import Quarantined
from rowcall.mapping.model import Entity
from rowcall.repair.creation import Creator
from rowcall.repair.remedy import Remedy, Setting
from rowcall.rows import Disposition, Reason


class Archive(Remedy):
    name = "archive"
    does = "keep payload and rejections in an archive, or as notes in the target"
    codes = frozenset(Reason)
    settings = (
        Setting("reason", "why, for the audit"),
        Setting(
            "to",
            "an entity: a row of its target table is made for each, a note; by default rows stay in the ledger alone",
        ),
        Setting(
            "values", "how the note's columns are filled; `{kept: payload}` and `{kept: rejections}` are texts to keep"
        ),
    )
    disposition = Disposition.ARCHIVED

    def keep(self, entity: Entity, settings: Mapping[str, Any], rows: Sequence[Quarantined], creator: Creator) -> None:
        if (to := settings.get("to")) is None:
            return
        if to not in (known := [e.name for e in creator.plan.mapping.entities]):
            raise UsageError(f"there is no entity {to!r}", hint=f"there are {', '.join(known)}")
        kept = {row.key: {"payload": _text(row.payload), "rejections": _text(list(row.rejections))} for row in rows}
        made = creator.note(entity, to, settings.get("values") or {}, kept)
        if made < len(kept):
            code = ", ".join(creator.refused)
            raise UsageError(
                f"{len(kept) - made} notes could not be written ({code}), so that nothing was archived",
                hint="see the columns and checks of that table, and `--set values...`",
            )


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1)
