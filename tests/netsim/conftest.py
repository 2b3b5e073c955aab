"""The simulation lies in benchmarks/, beside the source tree's other measurements."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
