"""One click command a file, found on disk: parse, build, call, print. Only click and stdlib at the top."""
