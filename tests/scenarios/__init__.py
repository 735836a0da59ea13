"""The promises of Trueup tried from outside: a real `trueup serve`, its command line and its HTTP, and nothing else.

`harness/` is how: processes, origins, faults, a prober that asks all the time and an oracle that knows what was live when.
`rows/` is what: one function a row. `python -m tests.scenarios` plays them and prints the table; pytest plays the same ones.
"""
