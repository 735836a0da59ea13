"""A folder of the file system as a source: the walk, reading at a listed version, and inotify's hints.

Only here is a source's file system touched; symbolic links are never followed, and the home is never entered.
"""

from trueup.sources.directory.source import DirectorySource, open_source

__all__ = ["DirectorySource", "open_source"]
