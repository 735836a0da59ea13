"""Pure decisions: values in, values out. Clock and randomness are arguments.

No I/O, no port is called, nothing but the model is imported.
"""
