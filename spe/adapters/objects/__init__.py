"""Object stores: a folder on one host; buckets of an object service."""
