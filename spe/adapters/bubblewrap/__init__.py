"""How one process is locked into bubblewrap on this host: options, system call filter, start.

Two adapters need it (notebook sandboxes of the cluster, the checker's child) and may not know each
other, so it stands beside them. It knows nothing of workspaces, people or policies.
"""
