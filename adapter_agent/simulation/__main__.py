"""`python -m adapter_agent.simulation building.toml` runs a building."""

import sys

from adapter_agent.simulation import main

sys.exit(main())
