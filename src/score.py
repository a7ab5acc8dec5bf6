"""`python -m score`."""

from hazardrank.commands.score import main

if __name__ == "__main__":
    main()
