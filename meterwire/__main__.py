"""`python -m meterwire` is the `meterwire` command."""

import sys

from meterwire.cli import main

sys.exit(main())
