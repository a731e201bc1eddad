"""The contract that every plugin keeps, as pytest classes to inherit from. A plugin brings a ``Stage``; see the README.

``strategies`` (hypothesis) is imported by whoever wants it.
"""

import pytest

_CHECKS = ("auth", "budgets", "errors", "keys", "limits", "notices", "sink", "source", "stage", "steps", "twin_stage")
pytest.register_assert_rewrite(*(f"{__name__}.{name}" for name in _CHECKS))

from ml_connector_contract_tests.abilities import Ability  # noqa: E402 - after the registration
from ml_connector_contract_tests.auth import AuthContract  # noqa: E402
from ml_connector_contract_tests.budgets import BudgetContract  # noqa: E402
from ml_connector_contract_tests.errors import ErrorsContract  # noqa: E402
from ml_connector_contract_tests.keys import KeysContract  # noqa: E402
from ml_connector_contract_tests.limits import LimitsContract  # noqa: E402
from ml_connector_contract_tests.notices import NoticesContract  # noqa: E402
from ml_connector_contract_tests.sink import SinkContract  # noqa: E402
from ml_connector_contract_tests.source import FeedContract, SourceContract, SweepContract  # noqa: E402
from ml_connector_contract_tests.stage import Cut, Of, Stage  # noqa: E402
from ml_connector_contract_tests.steps import StepsContract  # noqa: E402
from ml_connector_contract_tests.twin_stage import TwinStage, staged  # noqa: E402

__all__ = [
    "Ability",
    "AuthContract",
    "BudgetContract",
    "Cut",
    "ErrorsContract",
    "FeedContract",
    "KeysContract",
    "LimitsContract",
    "NoticesContract",
    "Of",
    "SinkContract",
    "SourceContract",
    "Stage",
    "StepsContract",
    "SweepContract",
    "TwinStage",
    "staged",
]
