"""What every process needs to run; knows no domain."""
