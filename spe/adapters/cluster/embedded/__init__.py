"""Workspaces on one host: a supervisor that keeps processes, and the adapter that asks it to.

`supervisor` runs as `spe up`; `cluster` and `sessions` run in the portal and speak to it through
`client`. Nothing here decides who may do what.
"""
