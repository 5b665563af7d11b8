"""The reference sender: staging, the workers' pump, the coordinator of a run, and the closing of its books."""
