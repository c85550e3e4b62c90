"""`python -m benchmark`."""

from benchmark.cli import run

if __name__ == "__main__":
    run()
