"""How training and prediction run: loop, callbacks, checkpoints, devices."""
