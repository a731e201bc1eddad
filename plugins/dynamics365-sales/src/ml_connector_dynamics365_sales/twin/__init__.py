"""The twin of Dynamics 365 Sales: a stateful emulator of the Dataverse Web API as strict as the vendor is known to be."""

from ml_connector_dynamics365_sales.twin.handles import DynamicsTwin

__all__ = ["DynamicsTwin"]
