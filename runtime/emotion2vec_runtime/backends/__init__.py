"""Libraries that run a model: a Protocol (`base`), a table (`providers`), a file a library."""

import os

# ONNX Runtime's packages write a device id to the user's cache and report to Microsoft how they are
# used, unless this is set before they are first imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
