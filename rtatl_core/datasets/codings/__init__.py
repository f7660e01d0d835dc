"""Human FACS codings of the user's own videos: own tables, BORIS and ELAN exports. See docs/coding.md."""
