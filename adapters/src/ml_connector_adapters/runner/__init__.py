"""The program around the engine: composition root, command line, worker, schedule, notice receiver, demo."""
