"""The `emotion2vec` command."""
