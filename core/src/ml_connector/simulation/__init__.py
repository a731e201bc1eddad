"""The seeded simulation: one number decides what people do, what goes wrong and when processes die. Then the guarantees
are checked, and a story that breaks one is cut to the steps that matter.
"""

from ml_connector.simulation.guarantees import Broken
from ml_connector.simulation.memory import memory_pair
from ml_connector.simulation.pair import Made, Make, Pair
from ml_connector.simulation.search import Verdict, shortest, verdict_on

__all__ = ["Broken", "Made", "Make", "Pair", "Verdict", "memory_pair", "shortest", "verdict_on"]
