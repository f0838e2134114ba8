"""What each remedy is tried with in the little shop, and what must become of its rows: the conformance suite's own answer sheet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from conftest import uid

from rowcall.repair import Request

Keys = tuple[str, ...]
Given = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """`home`: entity -> keys that come home; `left`: key of the cause's entity -> for what it is left, of those that the remedy had
    something for; `unhealed`: keys for which it had nothing; `created`: rows that it makes; `decided`: keys about which it decides;
    `before`: repairs that must have been applied."""

    cause: str
    settings: Given = field(default_factory=dict)
    home: Mapping[str, Keys] = field(default_factory=dict)
    left: Mapping[str, str] = field(default_factory=dict)
    unhealed: Keys = ()
    created: int = 0
    decided: Keys = ()
    before: tuple[Request, ...] = ()

    @property
    def entity(self) -> str:
        return self.cause.partition("/")[0]

    def request(self, remedy: str, **more: Any) -> Request:
        entity, _, code = self.cause.partition("/")
        return Request(entity, code, remedy, self.settings, "as agreed", **more)


A_CUSTOMER = {"region_id": str(uid("regions", "north")), "level": "basic"}
A_SHOP = {"customer_id": {"to": "customers", "path": "customer_id"}, "name": "General"}
LEVELS = {"map": {"GOLDEN": "gold", "PLATIN": "gold"}}

CASES: dict[str, tuple[Case, ...]] = {
    "stub_parent": (
        Case("shops/dangling_reference", {"values": A_CUSTOMER}, {"shops": ("14", "15", "16")}, created=2),
        Case("shops/null_reference", {"per": "row", "values": A_CUSTOMER}, {"shops": ("17", "18")}, created=2),
        Case("nodes/dangling_reference", {}, {"nodes": ("402", "410")}, created=2),
    ),
    "link_parent": (
        Case(
            "tickets/dangling_reference", {"column": "shop_id", "path": "customer_id -> shop.customer_id"},
            {"tickets": ("123",)}, {"124": "parent_quarantined"}, unhealed=("121", "122"),
        ),
        Case(
            "tickets/dangling_reference",
            {"column": "shop_id", "key": "null::int", "create": A_SHOP, "once_per": "customer_id"},
            {"tickets": ("122", "123")}, {"121": "dangling_reference"}, unhealed=("124",), created=2,
        ),
    ),
    "follow_parent": (
        Case(
            "files/parent_quarantined", {},
            {"shops": ("21",), "tickets": ("102",), "notes": ("201",), "files": ("301",)},
            {"302": "parent_quarantined", "303": "parent_quarantined"},
            before=(Request("customers", "not_in_enum", "map_values", LEVELS),),
        ),
        Case(
            "nodes/parent_quarantined", {}, {"nodes": ("403", "404")},
            before=(Request("nodes", "dangling_reference", "set_null"),),
        ),
    ),
    "set_null": (
        Case(
            "tickets/dangling_reference", {"column": "helper_id"},
            {"tickets": ("104", "105")}, {"121": "dangling_reference"},
        ),
        Case("tickets/out_of_range", {}, {"tickets": ("114", "115")}),
    ),
    "set_value": (
        Case("tickets/null_in_required", {"value": "Untitled"}, {"tickets": ("118", "119")}),
        Case("parts/out_of_range", {"value": 32767}, {"parts": ("[100, 2]", "[100, 3]")}),
    ),
    "map_values": (Case("customers/not_in_enum", LEVELS, {"customers": ("5", "6")}, {"7": "null_in_required"}),),
    "pick_parent": (
        Case("scans/ambiguous_reference", {"by": "majority"}, {"scans": ("702", "703")}, unhealed=("701",)),
        Case("scans/ambiguous_reference", {"by": "each"}, {"scans": ("701", "702", "703")}, created=3),
    ),
    "repair_json": (
        Case(
            "tickets/malformed_json", {}, {"tickets": ("106", "107", "108")}, {"120": "too_long"}, unhealed=("109", "111")
        ),
    ),
    "clip_text": (
        Case("regions/too_long", {"mark": "…"}, {"regions": ("far east", "far west")}),
        Case("tickets/too_long", {}, {"tickets": ("116", "117")}, {"120": "malformed_json"}),
    ),
    "strip_unstorable": (Case("tickets/unstorable_text", {}, {"tickets": ("110", "125")}),),
    "archive": (
        Case("customers/duplicate_key", decided=("8", "9")),
        Case(
            "notes/rule_failed", {"to": "nodes", "values": {"name": {"kept": "payload"}}}, decided=("205", "206"), created=2
        ),
    ),
    "accept": (Case("events/cyclic_path", decided=("602", "603")),),
    "defer": (Case("events/unknown_type", decided=("604", "605")),),
    "spell_out": (Case("customers/not_in_enum", {"letter": "P"}, {"customers": ("6",)}, unhealed=("5", "7")),),
}  # fmt: skip
