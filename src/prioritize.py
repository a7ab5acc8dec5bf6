"""`python -m prioritize`."""

from hazardrank.commands.prioritize import main

if __name__ == "__main__":
    main()
