"""Reviews and decisions in pages of two portals that answer in turn."""

from tests.web.ui.test_board import *  # noqa: F403
from tests.web.ui.test_checker import *  # noqa: F403
