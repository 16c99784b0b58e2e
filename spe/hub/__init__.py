"""What is loaded by JupyterHub: settings, roles, the spawner, the entry check and the pages.

Only the standard library, the Hub with its own libraries, and our domain may be imported here; the control
plane is reached by HTTP.
"""
