"""How people and agents reach the two rooms below: HTTP and the command line.

No decision is made here, and nothing is kept between requests.
"""
