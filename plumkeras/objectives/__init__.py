"""What the stages minimise."""
