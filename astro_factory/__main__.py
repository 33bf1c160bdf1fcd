"""`python -m astro_factory`: the command line without its script."""

from astro_factory.cli.main import main

if __name__ == "__main__":
    main()
