"""A sweep: its file, its handle on the server and its live view."""
