"""Containers and codecs, by FFmpeg: what runs in a decoder process."""
