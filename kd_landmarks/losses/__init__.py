"""KD-Loss and the losses that it is made of and measured against."""
