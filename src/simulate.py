"""`python -m simulate`."""

from hazardrank.commands.simulate import main

if __name__ == "__main__":
    main()
