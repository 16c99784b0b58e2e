"""What every notebook server is told, wherever it runs: its flags, fixed variables and places inside.

One list for sandboxes and pods, so that a session is the same on one host and in a cluster.
"""

HOME = "/home/researcher"
OUTPUTS = "/workspace/outputs"
SHARED = "/workspace/shared"
DATA = "/data"
SETTINGS = "/opt/jupyter"

PLACES = {"SPE_DATA_DIR": DATA, "SPE_OUTPUTS_DIR": OUTPUTS}

VARIABLES = {
    "JUPYTERHUB_DISABLE_USER_CONFIG": "1",
    "JUPYTERHUB_ALLOW_TOKEN_IN_URL": "0",
    "JUPYTER_SERVER_ALLOW_UNAUTHENTICATED_ACCESS": "0",
    "JUPYTER_CONFIG_PATH": SETTINGS,
    "JUPYTER_RUNTIME_DIR": "/run/jupyter",
    "JUPYTER_PREFER_ENV_PATH": "1",
    "IPYTHONDIR": f"{HOME}/.ipython",
    "MPLCONFIGDIR": "/tmp/matplotlib",  # noqa: S108 - memory of the sandbox's own
}


def server_flags(*, terminals: bool) -> tuple[str, ...]:
    """Arguments of the Hub's single-user server, besides where it listens."""
    return (
        "--HubOAuth.cache_max_age=15",
        f"--ServerApp.root_dir={HOME}",
        "--ServerApp.default_url=/lab",
        f"--ServerApp.terminals_enabled={terminals}",
        "--ServerApp.quit_button=False",
        "--ServerApp.allow_remote_access=True",
        "--ContentsManager.allow_hidden=False",
        # The gate counts every byte and ends the day's budget; the server's own brake would only drop output.
        "--ZMQChannelsWebsocketConnection.limit_rate=False",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
    )
