"""JupyterHub from the outside: the port over its REST API, its settings file, and how its processes start."""
