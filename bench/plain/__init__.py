"""What one would write without Darkroom: the same work, as plainly as it can be done."""
