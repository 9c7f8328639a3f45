"""For all tests."""

from __future__ import annotations

import os

from hypothesis import settings

# A slow machine is no failure. What CI says of a change must not depend on chance: new examples are
# found where they can be looked into.
settings.register_profile("untimed", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("untimed")
