"""A stream that outlives its calls."""
