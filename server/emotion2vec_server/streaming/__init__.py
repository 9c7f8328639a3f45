"""The parts of a live stream, without network and without model; `session` puts them together."""
