"""Looking at a live cluster with eyes that trust nobody: a table of rows, each judged by what was read."""
