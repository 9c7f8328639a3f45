"""One live stream: parts without I/O, and the session that puts them together."""
