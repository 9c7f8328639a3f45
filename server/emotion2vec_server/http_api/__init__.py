"""HTTP and WebSocket: the only package that knows FastAPI, uvicorn, and what browsers need."""
