"""What prototype labels, branches and modules find on data whose truth is known; run it by `python -m`."""
