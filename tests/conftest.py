"""For all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A slow machine is no failure. What CI says of a change must not depend on chance: new examples are
# found where they can be looked into.
settings.register_profile("untimed", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("untimed")

_TESTS = Path(__file__).parent
_WHOLE = {"export", "page", "structure"}
"""Folders whose tests share what takes long to make."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps together what shares fixtures, where several processes run the tests."""
    for item in items:
        place = item.path.relative_to(_TESTS)
        group = place.parts[0] if place.parts[0] in _WHOLE else str(place)
        item.add_marker(pytest.mark.xdist_group(group))
