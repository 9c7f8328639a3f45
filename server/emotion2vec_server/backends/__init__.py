"""Runtimes that execute a model. One Protocol (`base`), one file a runtime."""
