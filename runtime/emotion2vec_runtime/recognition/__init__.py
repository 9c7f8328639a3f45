"""From samples to emotions: one batch, audio of any length, and what is doubtful about a result."""
