"""`python -m explain`."""

from hazardrank.commands.explain import main

if __name__ == "__main__":
    main()
