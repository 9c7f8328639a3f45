"""Many recordings to one table: `emotion2vec score`."""
