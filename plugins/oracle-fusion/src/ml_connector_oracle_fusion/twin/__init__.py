"""A pod of Oracle Fusion in memory: identity domain, both REST roots and the two SOAP services, on one origin."""

from ml_connector_oracle_fusion.twin.handles import OracleTwin

__all__ = ["OracleTwin"]
