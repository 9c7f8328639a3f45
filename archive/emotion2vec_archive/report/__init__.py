"""`emotion2vec report`: a table of scores as one HTML file."""
