"""Run by alembic, over the connection and inside the transaction that ``schema.upgrade`` opened."""

from alembic import context

from ml_connector_adapters.store.migrations import VERSION_TABLE
from ml_connector_adapters.store.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
context.run_migrations()
