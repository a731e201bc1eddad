"""Settings, and pods on this machine."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from oracle_world import SET_ID, World, settings_for

from ml_connector.testing import ManualClock
from ml_connector.twin import TwinClock
from ml_connector_oracle_fusion.settings import Settings
from ml_connector_oracle_fusion.twin import OracleTwin


@pytest.fixture
def make_settings() -> Callable[..., Settings]:
    """Settings as a user would write them, with what is not at issue filled in."""

    def make(**values: Any) -> Settings:
        told = {
            "base_url": "https://acme.fa.us2.oraclecloud.com",
            "token_url": "https://idcs-1.identity.oraclecloud.com/oauth2/v1/token",
            "client_id": "ml",
            "client_secret": "secret:oracle/client_secret",
            "scope": "urn:opc:resource:consumer::all",
        }
        return settings_for(**{name: value for name, value in {**told, **values}.items() if value is not None})

    return make


@pytest.fixture
def oracle() -> Callable[..., World]:
    """``oracle(provision="finance_ready")``: a fresh pod, and a connection to it."""

    def build(**settings: Any) -> World:
        clock = ManualClock(datetime(2026, 3, 2, 12, tzinfo=UTC))
        return World(OracleTwin(clock=TwinClock(clock.now)), clock, **settings)

    return build


@pytest.fixture
def finance(oracle: Callable[..., World]) -> World:
    """A pod whose new customers shall be ready for invoices."""
    return oracle(provision="finance_ready", finance={"set_id": SET_ID, "currency": "SEK"})
