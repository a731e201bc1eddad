"""The recipes that ship with IFS Cloud."""

import tomllib

from ml_connector.system import recipes_in


def test_only_an_order_that_is_released_stands_in_the_stage_that_releases_orders() -> None:
    """Else whoever has both sides agree (``reconcile stages --fix``) would release orders that are blocked."""
    tables = tomllib.loads(recipes_in("ml_connector_ifs_cloud")["pipedrive"])["tables"]
    for stage, status in tables["stage_status"].items():
        assert [one for one, goes_to in tables["order_stage"].items() if goes_to == stage] == [status]
