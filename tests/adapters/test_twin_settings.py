"""What ``ml-connector twin`` prints goes into a configuration file as it stands."""

import tomllib

import pytest

from ml_connector_adapters.plugins import discover
from ml_connector_adapters.runner.twins import make_twin, toml


@pytest.mark.parametrize("system", sorted(discover().systems))
def test_a_twins_settings_are_read_back_as_they_are(system: str) -> None:
    settings = make_twin(system).settings("http://127.0.0.1:8123")
    told = "\n".join(f"{name} = {toml(value)}" for name, value in settings.items())
    assert tomllib.loads(told) == settings


def test_names_that_are_more_than_letters_and_figures_are_quoted() -> None:
    assert toml({"deal.Order status": ["Planned"], "seats": 5, "lines": True}) == (
        '{ "deal.Order status" = ["Planned"], seats = 5, lines = true }'
    )
