"""What goes to the Hub: checkpoints with their cards, and the Space."""
