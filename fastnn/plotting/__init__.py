"""Displays of what a training did, and of the network that it made, with matplotlib."""
