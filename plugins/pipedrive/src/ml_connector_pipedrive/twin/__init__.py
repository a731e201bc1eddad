"""A Pipedrive company on this machine: API v2 (v1 where v2 has nothing), OAuth server and webhooks, as strict as the vendor."""

from ml_connector_pipedrive.twin.handles import PipedriveTwin

__all__ = ["PipedriveTwin"]
