"""Which kind of text a document is, told by its name alone. What no rule names is unsupported: nothing is guessed."""

from __future__ import annotations

import enum


class Kind(enum.StrEnum):
    """How a document's structure is read."""

    MARKDOWN = "Markdown"
    RST = "reStructuredText"
    PLAIN = "Plain"
    CODE = "Code"
    """Source code, configuration and data: text without headings or front matter."""
    HTML = "HTML"
    """A foreign format: parsed in a child process only."""


_EXTENSIONS = {
    Kind.MARKDOWN: "md markdown mdown mkd mkdn mdx mdc qmd rmd",
    Kind.RST: "rst rest",
    Kind.PLAIN: "txt text adoc asciidoc asc org textile wiki mediawiki tex latex bib log po pot srt vtt eml",
    Kind.HTML: "html htm xhtml",
    Kind.CODE: (
        "py pyi pyx ipynb go rs java kt kts scala groovy gradle clj cljs cljc edn ex exs erl hrl hs lhs ml mli fs fsx fsi elm purs "
        "js mjs cjs jsx ts mts cts tsx vue svelte astro coffee css scss sass less styl c h cc cpp cxx hh hpp hxx inl ino m mm cs vb "
        "d zig nim v vhd vhdl sv swift dart lua pl pm t rb rake gemspec php phtml r jl f f90 f95 for asm s pas ada adb ads lisp el scm rkt tcl "
        "sh bash zsh fish ksh ps1 psm1 bat cmd awk sed sql ddl psql graphql gql proto thrift avsc wsdl "
        "yaml yml toml json json5 jsonc jsonl ndjson geojson ini cfg conf config cnf properties prop env editorconfig xml xsd xsl xslt rss atom "
        "csv tsv psv tf tfvars hcl nix bzl bazel cmake mk mak make dockerfile containerfile jenkinsfile rego cue dhall jsonnet libsonnet "
        "tmpl tpl j2 jinja jinja2 mustache hbs ejs erb haml pug liquid service socket timer mount desktop spec diff patch rules lock mod sum sol move"
    ),
}
_BY_EXTENSION = {extension: kind for kind, names in _EXTENSIONS.items() for extension in names.split()}

# Names whose last part is a variant and not a type (README.de, Dockerfile.dev), and documents in code repositories.
_STEMS = frozenset(
    [
        "readme",
        "license",
        "licence",
        "copying",
        "notice",
        "changelog",
        "changes",
        "history",
        "news",
        "authors",
        "contributors",
        "maintainers",
        "contributing",
        "todo",
        "install",
        "dockerfile",
        "containerfile",
        "makefile",
        "gnumakefile",
        "jenkinsfile",
        "vagrantfile",
        "procfile",
        "gemfile",
        "rakefile",
        "codeowners",
        "version",
    ]
)


def kind_of(uri: str) -> Kind | None:
    """The kind of the document `uri`, or None where its name tells of no type we can read."""
    name = uri.rpartition("/")[2].lower()
    stem, dot, extension = name.lstrip(".").rpartition(".")
    if not dot:  # README, LICENSE, .gitignore: text by custom; the bytes are still sniffed
        return Kind.CODE if name.startswith(".") or name in {"makefile", "dockerfile", "jenkinsfile"} else Kind.PLAIN
    found = _BY_EXTENSION.get(extension)
    if found is None and stem.split(".", 1)[0] in _STEMS:
        return Kind.PLAIN
    return found


def supported(uri: str) -> bool:
    """Whether a document of this name can be read; the default selection of a source."""
    return bool(uri) and not uri.endswith("/") and kind_of(uri) is not None
