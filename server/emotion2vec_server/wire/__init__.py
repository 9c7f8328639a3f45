"""The messages of `emotion2vec.v1`, which all doors speak, in protobuf or in JSON."""
