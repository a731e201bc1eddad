"""The tables' history. A revision is never edited once released; a new one is appended here and under ``versions``."""

from typing import Final

REVISIONS: Final = ("0001", "0002")
"""All that this program knows, oldest first: enough to judge a state without loading alembic."""

VERSION_TABLE: Final = "ml_connector_revision"
