"""`python -m train`."""

from hazardrank.commands.train import main

if __name__ == "__main__":
    main()
