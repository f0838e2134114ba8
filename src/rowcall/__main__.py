"""python -m rowcall"""

from rowcall.cli import main

main()
