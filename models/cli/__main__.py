"""`python -m presample.models.cli`, for what starts a module and not a command."""

import sys

from . import main

if __name__ == "__main__":  # whoever imports every module must not start the command
    sys.exit(main())
