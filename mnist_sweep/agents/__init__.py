"""Agents: the loop of one, its protocol with the server, and the processes that run several."""
