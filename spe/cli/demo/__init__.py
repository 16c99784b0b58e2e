"""The demonstration: open data, people of every role, and the whole story played through the real doors."""
