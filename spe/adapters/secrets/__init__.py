"""Secret stores: a sealed file on one host; a vault service."""
