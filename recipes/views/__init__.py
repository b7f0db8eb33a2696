"""What a person sees: terminal and pictures."""
