"""Who asks and what they may, in a cluster: TokenReview, OIDC, SubjectAccessReview.

Nothing here decides about content: readers do. What cannot be asked is denied.
"""
