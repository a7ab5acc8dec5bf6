"""`python -m review`."""

from hazardrank.commands.review import main

if __name__ == "__main__":
    main()
