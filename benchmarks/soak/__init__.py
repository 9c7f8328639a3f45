"""A soak: live streams in real time for long, with joins, leaves, kills, and a drain at the end.

    python -m benchmarks.soak --streams 50 --minutes 30

Half of the streams stay until the server stops, most others leave and are followed by new ones, and
one in five is in a process that is killed with SIGKILL and replaced. Exit status 0: all that was
sent by a stream that lives was heard, no frame and no final result is missing or came twice, the
server's memory is flat, and what killed streams held is free again.
"""
