"""What holds for one portal holds for two that answer in turn: the same tests, each request to the other one."""

from tests.web.api.test_conditions import *  # noqa: F403
from tests.web.api.test_story import *  # noqa: F403
from tests.web.test_oauth import *  # noqa: F403
from tests.web.test_passes import *  # noqa: F403
from tests.web.ui.test_researcher import *  # noqa: F403
