"""Loaded by `jupyterhub -f`: reads the file named by SPE_HUB_SETTINGS and hands over to `configure`."""

import os
from pathlib import Path

from spe.hub.configure import configure
from spe.hub.logs import scrub_logs
from spe.hub.settings import HubSettings

# The Hub's database and its cookie secret are for its own account only.
os.umask(0o077)
scrub_logs()
configure(globals()["c"], HubSettings.read(Path(os.environ["SPE_HUB_SETTINGS"])))
