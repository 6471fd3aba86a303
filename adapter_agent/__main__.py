"""`python -m adapter_agent` is `adapter-agent`."""

import sys

from adapter_agent.cli import main

sys.exit(main())
