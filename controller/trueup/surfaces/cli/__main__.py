"""`python -m trueup.surfaces.cli`, where the script `trueup` is not on the path."""

from trueup.surfaces.cli import main

if __name__ == "__main__":
    main()
