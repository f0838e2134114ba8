"""A real database with damage made by hand: generic references, cycles of required references, packed keys; each cause proven."""

from __future__ import annotations

import pytest

from examples.example import example
from rowcall.postgres.connect import connect

GONE = {
    "dcim_site": 2, "dcim_device": 7, "dcim_devicerole": 1, "dcim_region": 3, "circuits_circuit": 2, "dcim_interface": 11,
    "tenancy_tenant": 1,
}  # fmt: skip


def test_every_cause_of_a_damaged_netbox_is_proven(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("damaged") / "p"
    with pytest.MonkeyPatch.context() as patch, example("netbox_v32", folder, patch) as netbox:
        with netbox.migration.places.use() as dsns, connect(dsns.source, "target") as legacy:
            legacy.execute("set session_replication_role = replica")  # the legacy database declares its keys
            for table, rows in GONE.items():
                legacy.execute(
                    f"delete from {table} where id in (select id from {table} order by id offset 2 limit {rows})"
                )
            legacy.execute("update django_content_type set model = 'thing' where model = 'rearport'")
        netbox.migration.check()
        result = netbox.migration.run()
        assert (result.complete, result.forecast_matched) == (True, True)
        causes = {(c.entity, c.code): c for c in netbox.migration.prove()}
        assert {cause: c.proof for cause, c in causes.items() if not (c.proof and c.proof.held)} == {}
        assert {c.proof.kind for c in causes.values() if c.proof} == {"query"}
        assert max(len(c.proof.sql) for c in causes.values() if c.proof) < 100_000
        assert causes["regions", "dangling_reference"].groups[0].evidence == "was_deleted"
        assert causes["cables", "unknown_type"].groups[0].evidence == "not_mapped dcim.thing"
        assert causes["circuits", "parent_quarantined"].victims > 0  # terminations and circuits need each other
        assert netbox.migration.verify().ok
