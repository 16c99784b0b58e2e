"""What is made in a cluster, as plain documents: pure functions from facts, one module for each subject."""
