"""The adapter's keys: held in one sealed file, changed over port 34, tried before the old ones are given up."""
