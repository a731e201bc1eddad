"""Expressions over canonical records: JMESPath with exact numbers, lookup tables and a few functions of the trade.

An expression cannot loop, call out or reach an attribute. Numbers are int or Decimal throughout, never float.
"""

from ml_connector_adapters.expressions.closures import compile_condition, compile_expression
from ml_connector_adapters.expressions.names import paths_of, tables_of

__all__ = ["compile_condition", "compile_expression", "paths_of", "tables_of"]
