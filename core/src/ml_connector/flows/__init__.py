"""What the user configured, validated: which records go where, in which shape, under which rules."""

from ml_connector.flows.conversions import CONVERSIONS
from ml_connector.flows.flow import Assignment, Cron, Every, Flow, Schedule, in_order

__all__ = ["CONVERSIONS", "Assignment", "Cron", "Every", "Flow", "Schedule", "in_order"]
