"""What is minimized: named losses of a batch, and the training step around them."""
