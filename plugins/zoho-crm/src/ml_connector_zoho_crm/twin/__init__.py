"""The twin of Zoho CRM v8: a stateful emulator as strict as the vendor is known to be."""

from ml_connector_zoho_crm.twin.handles import ZohoTwin

__all__ = ["ZohoTwin"]
