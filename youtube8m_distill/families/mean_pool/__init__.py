"""The mean frame (the starter code's `FrameLevelLogisticModel`)."""
