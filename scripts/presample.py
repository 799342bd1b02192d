"""The one file that a WebUI runs: it makes the root package and names the Script classes for the host.

Convention: hosts run it under the name `presample.py`, outside sys.modules, and again at Reload UI, when the
package is there already. Every Script subclass that it names becomes a script.
"""

import importlib.util
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]

if "presample" not in sys.modules:
    _spec = importlib.util.spec_from_file_location(
        "presample", _ROOT / "__init__.py", submodule_search_locations=[str(_ROOT)]
    )
    sys.modules["presample"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["presample"])

from presample.scripts.webui import callbacks as _callbacks  # noqa: E402

# Hosts show the panels in this order.
# isort: off
from presample.scripts.webui.tipo import PresampleTIPO  # noqa: E402
from presample.scripts.webui.mix import PresampleEncoderMix  # noqa: E402
from presample.scripts.webui.playground import PresamplePlayground  # noqa: E402
# isort: on

_callbacks.register()

__all__ = ["PresampleEncoderMix", "PresamplePlayground", "PresampleTIPO"]
