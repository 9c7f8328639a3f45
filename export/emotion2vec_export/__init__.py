"""Turns FunASR emotion2vec checkpoints into bundles that emotion2vec-server serves."""

import os

# See emotion2vec_runtime.backends.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
