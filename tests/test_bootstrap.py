"""What is chosen where the parts are put together."""

from pathlib import Path

from spe import bootstrap
from spe.settings import Settings


def test_a_portal_that_is_restarted_on_its_host_leads_under_the_same_name(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url="")
    assert bootstrap.holder(settings) == bootstrap.holder(settings)


def test_portals_that_share_a_database_server_never_share_a_name(tmp_path: Path) -> None:
    """Two under one name would both lead, with one fence: on one node, or before a container that hangs is gone."""
    settings = Settings(home=tmp_path, database_url="postgresql://app@db.example/spe")
    assert bootstrap.holder(settings) != bootstrap.holder(settings)
