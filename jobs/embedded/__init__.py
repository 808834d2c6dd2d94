"""Servers and workers as child processes of a command: started, watched, and never left behind."""
