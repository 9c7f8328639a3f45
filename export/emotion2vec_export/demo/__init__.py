"""The demo model: a tiny emotion2vec, trained on synthesised expressive speech.

`python -m emotion2vec_export.demo --output DIR` makes it anew. It stands in for real weights where
those can't be had; it knows nothing of real people's emotions.
"""
