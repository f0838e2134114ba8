"""examples/netbox_v32 through check, run, verify and undo: Django's generic references and nullable cycles."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from examples.example import ROOT, Example, example
from rowcall.rows import Counts

TOTALS = Counts(2_863, 2_863, 0, 0)
PORTS = ("interface", "frontport", "rearport", "powerport", "poweroutlet")
LEGACY_PORTS = " union all ".join(
    f"select 'dcim.{port}' as kind, id, device_id, null::bigint as termination_id from dcim_{port}" for port in PORTS
)
LEGACY_CABLES = f"""
with ends as ({LEGACY_PORTS}
    union all select 'circuits.circuittermination', id, null, id from circuits_circuittermination),
     kinds as (select id, app_label || '.' || model as kind from django_content_type)
select c.id, c.status, ka.kind, kb.kind, a.device_id, a.termination_id, b.device_id
from dcim_cable c
join kinds ka on ka.id = c.termination_a_type_id join ends a on a.kind = ka.kind and a.id = c.termination_a_id
join kinds kb on kb.id = c.termination_b_type_id join ends b on b.kind = kb.kind and b.id = c.termination_b_id order by 1
"""
NEW_CABLES = """
select c.legacy_id, c.status, c.a_kind, c.b_kind, a.legacy_id, t.legacy_id, b.legacy_id
from cables c left join devices a on a.id = c.a_device_id left join terminations t on t.id = c.a_termination_id
join devices b on b.id = c.b_device_id order by 1
"""
LEGACY_ELEMENTS = f"""
with ends as ({LEGACY_PORTS}),
     elements as (select p.id, n.place, split_part(n.text, ':', 1)::int as type, split_part(n.text, ':', 2)::bigint as object
                  from dcim_cablepath p, unnest(p.path) with ordinality n (text, place))
select e.id, e.place::int, t.app_label || '.' || t.model, case t.model when 'cable' then e.object end,
       case t.model when 'circuittermination' then e.object end, p.device_id
from elements e join django_content_type t on t.id = e.type
left join ends p on p.kind = t.app_label || '.' || t.model and p.id = e.object order by 1, 2
"""
NEW_ELEMENTS = """
select p.legacy_id, e.place, e.kind, c.legacy_id, t.legacy_id, d.legacy_id
from path_elements e join cable_paths p on p.id = e.path_id left join cables c on c.id = e.cable_id
left join terminations t on t.id = e.termination_id left join devices d on d.id = e.device_id order by 1, 2
"""
SAME = {
    "select id, termination_a_id, termination_z_id from circuits_circuit order by 1": """
        select c.legacy_id, a.legacy_id, z.legacy_id from circuits c
        left join terminations a on a.id = c.a_end_id left join terminations z on z.id = c.z_end_id order by 1""",
    "select id, parent_id from dcim_region order by 1": """
        select r.legacy_id, p.legacy_id from regions r left join regions p on p.id = r.parent_id order by 1""",
    "select i.id, i.device_id, i.lag_id from dcim_interface i order by 1": """
        select i.legacy_id, d.legacy_id, l.legacy_id from interfaces i join devices d on d.id = i.device_id
        left join interfaces l on l.id = i.lag_id order by 1""",
    "select id, name, face, status, custom_field_data, created from dcim_device order by 1": """
        select legacy_id, name, face::text, status::text, custom_fields, created_at from devices order by 1""",
    "select user_id, data from users_userconfig order by 1": """
        select u.legacy_id, s.settings from users u join user_settings s on s.id = u.id order by 1""",
    "select object_id::bigint, tag_id from extras_taggeditem order by 1, 2": """
        select s.legacy_id, t.legacy_id from site_tags x join sites s on s.id = x.site_id join tags t on t.id = x.tag_id
        order by 1, 2""",
}


@pytest.fixture(scope="module")
def netbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    folder = tmp_path_factory.mktemp("netbox") / "p"
    with pytest.MonkeyPatch.context() as patch, example("netbox_v32", folder, patch) as found:
        yield found


def test_check_then_run(netbox: Example) -> None:
    assert netbox.migration.check().totals == TOTALS
    cycles = [set(s.group.entities) for s in netbox.migration.plan().steps if s.group.cyclic]
    assert cycles == [{"regions"}, {"interfaces"}, {"circuits", "terminations"}]
    result = netbox.migration.run()
    assert (result.complete, result.forecast_matched, result.exit_code, result.totals) == (True, True, 0, TOTALS)
    assert netbox.migration.verify().ok


def test_every_cable_ends_where_it_did(netbox: Example) -> None:
    assert netbox.target.rows(NEW_CABLES) == netbox.source.rows(LEGACY_CABLES)


def test_every_packed_element_leads_where_it_did(netbox: Example) -> None:
    found = netbox.target.rows(NEW_ELEMENTS)
    assert found == netbox.source.rows(LEGACY_ELEMENTS)
    assert len(found) == 409


@pytest.mark.parametrize("legacy", SAME)
def test_the_new_tables_say_the_same(legacy: str, netbox: Example) -> None:
    assert netbox.target.rows(SAME[legacy]) == netbox.source.rows(legacy)


def test_no_link_became_null_unseen(netbox: Example) -> None:
    nulled = netbox.target.rows(
        "select target_column, code, count(*) from rowcall.nulled_reference group by 1, 2 order by 1"
    )
    cables = [("a_device_id", "unknown_type", 32), ("a_termination_id", "unknown_type", 76)]
    elements = [
        ("cable_id", "unknown_type", 183),
        ("device_id", "unknown_type", 313),
        ("termination_id", "unknown_type", 322),
    ]
    assert nulled == [*cables, *elements]
    assert "32 cables end at a circuit" in (ROOT / "examples" / "netbox_v32" / "README.md").read_text()


def test_undo(netbox: Example) -> None:
    assert sum(netbox.migration.undo().values()) == TOTALS.migrated
    assert netbox.target.value("select count(*) from circuits") == 0
