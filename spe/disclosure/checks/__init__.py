"""One module per subject; each check is a small pure function with its parameters and its source."""
