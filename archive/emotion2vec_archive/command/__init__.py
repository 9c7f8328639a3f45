"""Subcommands of `emotion2vec`."""
