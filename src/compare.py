"""`python -m compare`."""

from hazardrank.commands.compare import main

if __name__ == "__main__":
    main()
