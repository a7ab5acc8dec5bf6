"""`python -m check`."""

from hazardrank.commands.check import main

if __name__ == "__main__":
    main()
