"""`python -m immunocast.cli`."""

from immunocast.cli import main

main()
