"""The run folder: journal, ledger, result, verdict. What every reader reads, and nothing else."""
