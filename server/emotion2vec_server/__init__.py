"""gRPC server for speech emotion recognition with emotion2vec models."""

__version__ = "0.1.0"
