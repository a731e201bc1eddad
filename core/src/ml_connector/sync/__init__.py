"""The pipeline, one step a file: read → link → decide → write → settle."""
