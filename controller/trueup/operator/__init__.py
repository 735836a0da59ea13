"""The host of the controller in a cluster: declarations come from the API server, and status and events go there.

The only importer of kopf. Decides nothing about content: that is `reconcile`, which runs here as it does embedded.
"""
