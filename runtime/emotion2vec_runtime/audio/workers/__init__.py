"""Decoders in processes of their own."""
