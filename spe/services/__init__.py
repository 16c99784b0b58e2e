"""Use cases: what people and the environment's own loops may do, one file per subject."""
