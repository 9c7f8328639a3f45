"""Server for speech emotion recognition with emotion2vec models."""
