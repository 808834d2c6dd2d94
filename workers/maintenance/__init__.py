"""What is done by the clock and not for one job: one file for each duty."""
