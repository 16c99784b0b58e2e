"""Workspaces as namespaces of a Kubernetes cluster: objects by server-side apply, the gate over its control port."""
