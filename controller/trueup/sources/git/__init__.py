"""A branch, tag or commit of a Git repository as a source: refs, packs, the object cache and the history of commits.

The only importer of dulwich. No work tree is ever read, no git program run, no hook or configuration obeyed.
"""

from trueup.sources.git.source import GitSource, open_source

__all__ = ["GitSource", "open_source"]
