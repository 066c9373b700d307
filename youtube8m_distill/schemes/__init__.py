"""What is minimized: named losses from a batch, and the training step around them."""
