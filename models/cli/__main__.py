"""`python -m presample.models.cli`, for what starts a module and not a command."""

import sys

from . import main

sys.exit(main())
