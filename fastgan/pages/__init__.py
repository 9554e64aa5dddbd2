"""What every HTML page is made with: an environment of Jinja2 that escapes, the base of all pages, curves as SVG."""
