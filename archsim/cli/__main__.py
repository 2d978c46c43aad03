"""`python -m archsim.cli` is `archsim`."""

from archsim.cli import main

if __name__ == "__main__":
    main()
