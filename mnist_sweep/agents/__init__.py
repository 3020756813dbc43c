"""Agents: the loop of one agent, its protocol with the server, and the processes that run several."""
