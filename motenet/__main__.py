"""`python -m motenet` is the same as `motenet`."""

from motenet.cli import main

main()
