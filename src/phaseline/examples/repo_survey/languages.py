"""Which language a file is written in, by its name alone."""

import os.path

OTHER = "Other"

_EXTENSIONS = {
    "Ada": "adb ads",
    "Archive": "7z bz2 gz jar tar tgz xz zip zst",
    "Assembly": "asm s",
    "Batch": "bat cmd",
    "C": "c h",
    "C#": "cs",
    "C++": "cc cpp cxx hh hpp hxx",
    "CMake": "cmake",
    "CSS": "css less sass scss",
    "CSV": "csv tsv",
    "Clojure": "clj cljc cljs",
    "Crystal": "cr",
    "Cuda": "cu cuh",
    "D": "d",
    "Dart": "dart",
    "Elixir": "ex exs",
    "Elm": "elm",
    "Erlang": "erl hrl",
    "F#": "fs fsi fsx",
    "Font": "eot otf ttf woff woff2",
    "Fortran": "f f90 f95 for",
    "GLSL": "frag glsl vert",
    "Go": "go",
    "GraphQL": "gql graphql",
    "Groovy": "gradle groovy",
    "HTML": "htm html xhtml",
    "Haskell": "hs lhs",
    "Image": "bmp gif ico jpeg jpg png svg tif tiff webp",
    "INI": "cfg conf ini properties",
    "JSON": "json json5 jsonl ndjson",
    "Java": "java",
    "JavaScript": "cjs js jsx mjs",
    "Julia": "jl",
    "Jupyter": "ipynb",
    "Kotlin": "kt kts",
    "Lisp": "cl el lisp lsp",
    "Lua": "lua",
    "Markdown": "markdown md mdx",
    "Nim": "nim nims",
    "Nix": "nix",
    "OCaml": "ml mli",
    "Objective-C": "m mm",
    "PDF": "pdf",
    "PHP": "php",
    "Pascal": "dpr pas",
    "Patch": "diff patch",
    "Perl": "pl pm t",
    "PowerShell": "ps1 psd1 psm1",
    "Protocol Buffers": "proto",
    "Python": "py pyi pyx",
    "R": "r rmd",
    "Racket": "rkt",
    "Ruby": "erb gemspec rake rb",
    "Rust": "rs",
    "SQL": "psql sql",
    "Scala": "sbt sc scala",
    "Scheme": "scm ss",
    "Shell": "bash fish ksh sh zsh",
    "Solidity": "sol",
    "Starlark": "bazel bzl",
    "Svelte": "svelte",
    "Swift": "swift",
    "TOML": "toml",
    "Tcl": "tcl",
    "TeX": "bib cls sty tex",
    "Terraform": "hcl tf tfvars",
    "Text": "rst text txt",
    "TypeScript": "cts mts ts tsx",
    "VHDL": "vhd vhdl",
    "Verilog": "sv svh v",
    "Vim script": "vim",
    "Visual Basic": "bas vb",
    "Vue": "vue",
    "XML": "plist xml xsd xsl xslt",
    "YAML": "yaml yml",
    "Zig": "zig",
}

_NAMES = {
    "CMake": "cmakelists.txt",
    "Dockerfile": "containerfile dockerfile",
    "Go": "go.mod go.work",
    "Makefile": "gnumakefile makefile",
    "Ruby": "gemfile rakefile",
    "Starlark": "build workspace",
    "TOML": "cargo.lock poetry.lock uv.lock",
    "Text": "authors changelog copying go.sum license notice readme",
}

_BY_EXTENSION = {
    ending: name for name, endings in _EXTENSIONS.items() for ending in endings.split()
}
_BY_NAME = {file: name for name, files in _NAMES.items() for file in files.split()}


def language(path: str) -> str:
    """Return the language of the file at *path*, `OTHER` if its name does not tell."""
    name = os.path.basename(path).lower()
    extension = os.path.splitext(name)[1].removeprefix(".")
    return _BY_NAME.get(name) or _BY_EXTENSION.get(extension, OTHER)
