"""A stack of LSTM layers over all frames (the starter code's `LstmModel`)."""
