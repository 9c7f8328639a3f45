"""The policy of the batcher, as plain data structures: what runs next, and with whom."""
