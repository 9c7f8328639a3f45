"""What a user would pick instead of us, each configured as well as its documentation allows.

Each file here is run by the interpreter of the peer's own environment, so it imports nothing of the
product. All of them share `model`, get the same raw PCM, and answer with the class probabilities.
"""
