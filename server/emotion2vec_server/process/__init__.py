"""The process: settings, the parts put together, start and stop, metrics, logs, cores, memory."""
