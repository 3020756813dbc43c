"""The server as a process: start it, share it, and its certificate."""
