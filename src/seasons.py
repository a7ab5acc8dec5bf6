"""`python -m seasons`."""

from hazardrank.commands.seasons import main

if __name__ == "__main__":
    main()
